"""The eight tenants: what they serve, how much, how late the labels come, and which words name their things."""

from dataclasses import dataclass

HOUR, DAY = 3600, 86400


@dataclass(frozen=True)
class Tenant:
    """A line of business. `peak` is requests per minute; `label_delay` is (median seconds, sigma of its logarithm).

    `quality` is (name, healthy value, floor or worst factor, whether higher is better); `cadences` are weights of the
    seconds between job runs, 0 for a stream; `segments` maps a dimension to its number of values, the first is the
    one by which monitors slice.
    """

    key: str
    models: int
    nodes: int
    peak: float
    label_delay: tuple[float, float]
    sampled: float
    base_rate: float
    quality: tuple[str, float, float, bool]
    segments: dict[str, int]
    segment_values: tuple[str, ...]
    cadences: dict[int, float]
    batch: int
    business: str
    zones: tuple[str, ...]
    nouns: tuple[str, ...]
    subjects: tuple[str, ...]


_FAST = {0: 0.55, 900: 0.15, HOUR: 0.25, 6 * HOUR: 0.05}
_MIXED = {0: 0.3, 900: 0.15, HOUR: 0.35, 6 * HOUR: 0.15, DAY: 0.05}
_SLOW = {HOUR: 0.35, 6 * HOUR: 0.4, DAY: 0.25}
_COUNTRIES = ("DE", "FR", "PL", "US", "BR", "IN", "JP", "GB", "MX", "NG")
_LANGUAGES = ("en", "de", "es", "fr", "pt", "ja", "ko", "pl", "tr")
_CITIES = tuple(
    f"city-{name}"
    for name in (
        "lyon",
        "porto",
        "gent",
        "turin",
        "cork",
        "graz",
        "bergen",
        "malmo",
        "brno",
        "split",
        "leeds",
        "kiel",
        "basel",
        "vigo",
        "nantes",
        "bari",
        "lodz",
        "cluj",
        "tartu",
        "patras",
    )
)

TENANTS: dict[str, Tenant] = {
    tenant.key: tenant
    for tenant in (
        Tenant(
            "card-fraud",
            6,
            60,
            3000,
            (14 * DAY, 0.6),
            1.0,
            0.004,
            ("auc", 0.94, 0.5, True),
            {"country": 8, "channel": 3, "bin_tier": 4},
            _COUNTRIES[:8],
            _FAST,
            0,
            "chargeback",
            ("Europe/London", "America/New_York"),
            (
                "amount",
                "merchant",
                "velocity",
                "device_age",
                "ip_risk",
                "balance",
                "mcc",
                "distance",
                "hour_gap",
                "tries",
            ),
            (
                "card_auth",
                "merchants",
                "devices",
                "chargebacks",
                "accounts",
                "ip_intel",
                "sessions",
                "limits",
                "terminals",
            ),
        ),
        Tenant(
            "ad-ctr",
            12,
            120,
            60000,
            (600, 0.5),
            1.0,
            0.02,
            ("norm_entropy", 0.80, 1.0, False),
            {"placement": 5, "device": 4, "country": 10},
            ("feed", "story", "search", "rail", "video"),
            _FAST,
            0,
            "conversion",
            ("America/Los_Angeles", "Asia/Singapore"),
            ("ctr", "bid", "dwell", "recency", "ad_age", "slot", "budget", "clicks", "affinity", "depth"),
            ("impressions", "clicks", "campaigns", "creatives", "users", "pages", "bids", "budgets", "geo", "pixels"),
        ),
        Tenant(
            "food-eta",
            8,
            70,
            8000,
            (2700, 0.3),
            1.0,
            0.0,
            ("mae_min", 4.2, 9.0, False),
            {"city": 20, "vehicle": 3},
            _CITIES,
            _MIXED,
            0,
            "cancel_rate",
            ("Europe/Berlin", "Asia/Kolkata"),
            ("prep", "distance", "traffic", "load", "courier_speed", "wait", "rain", "basket", "queue", "turns"),
            (
                "orders",
                "couriers",
                "kitchens",
                "gps_pings",
                "weather",
                "traffic_feed",
                "baskets",
                "zones",
                "restaurants",
            ),
        ),
        Tenant(
            "search-rank",
            10,
            110,
            20000,
            (300, 0.7),
            1.0,
            0.18,
            ("ndcg_at_10", 0.71, 0.45, True),
            {"language": 9, "device": 3},
            _LANGUAGES,
            _FAST,
            0,
            "conversion",
            ("Europe/Paris", "America/New_York"),
            ("bm", "ctr", "price", "stock", "rating", "fresh", "match", "popularity", "margin", "intent"),
            (
                "queries",
                "clicks",
                "catalogue",
                "prices",
                "stock",
                "ratings",
                "sellers",
                "sessions",
                "synonyms",
                "carts",
            ),
        ),
        Tenant(
            "credit-risk",
            4,
            45,
            60,
            (90 * DAY, 0.2),
            1.0,
            0.03,
            ("auc", 0.79, 0.5, True),
            {"product": 4, "channel": 3},
            ("loan", "card", "lease", "overdraft"),
            _SLOW,
            0,
            "approval_rate",
            ("Europe/Madrid", "America/Chicago"),
            (
                "income",
                "utilisation",
                "arrears",
                "tenure",
                "inquiries",
                "age_file",
                "debt",
                "limit",
                "payments",
                "ratio",
            ),
            ("applications", "bureau", "payroll", "accounts", "payments", "collateral", "registry"),
        ),
        Tenant(
            "demand-forecast",
            15,
            140,
            900,
            (DAY, 0.1),
            1.0,
            0.0,
            ("wape", 0.21, 0.5, False),
            {"cluster": 12, "category": 15},
            tuple(f"cluster-{i}" for i in range(1, 13)),
            {HOUR: 0.3, 6 * HOUR: 0.4, DAY: 0.3},
            6 * HOUR,
            "waste_rate",
            ("Europe/Warsaw", "America/Chicago"),
            ("sales", "price", "promo", "stock", "footfall", "weather", "lead_time", "returns", "shelf", "basket"),
            (
                "pos",
                "inventory",
                "promotions",
                "prices",
                "weather",
                "calendar",
                "suppliers",
                "loyalty",
                "stores",
                "returns",
                "deliveries",
                "online_orders",
            ),
        ),
        Tenant(
            "churn-crm",
            5,
            50,
            200,
            (30 * DAY, 0.3),
            1.0,
            0.06,
            ("auc", 0.82, 0.5, True),
            {"plan": 4, "region": 6},
            ("basic", "plus", "family", "business"),
            {HOUR: 0.3, 6 * HOUR: 0.5, DAY: 0.2},
            DAY,
            "save_rate",
            ("Europe/Rome", "Australia/Sydney"),
            ("usage", "tickets", "tenure", "bill", "outages", "logins", "discount", "dunning", "nps", "roaming"),
            ("billing", "usage", "tickets", "network", "app_events", "surveys", "contracts"),
        ),
        Tenant(
            "support-llm",
            4,
            55,
            900,
            (7200, 0.5),
            0.03,
            0.7,
            ("rating", 0.84, 0.4, True),
            {"language": 8, "surface": 3},
            _LANGUAGES[:8],
            _MIXED,
            0,
            "escalation_rate",
            ("Europe/Dublin", "America/Toronto"),
            ("tokens", "chunks", "similarity", "turns", "age_doc", "sentiment", "intent", "latency", "length", "tools"),
            ("chats", "articles", "tickets", "ratings", "users", "crawl", "glossary", "tool_calls"),
        ),
    )
}
