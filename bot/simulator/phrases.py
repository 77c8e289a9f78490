"""What change tools write: openers and endings that combine to at least forty texts a tool, none of them a symptom.

The culprit's text is drawn from the same lists as those of the innocents.
"""

# tool: (wire kind, openers, endings)
TOOLS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "deploy": (
        "deployment",
        (
            "Release {v}",
            "Roll out {v}",
            "Ship {v}",
            "Deploy build {n}",
            "Upgrade to {v}",
            "Promote {v} from staging",
            "Publish image {h}",
            "Cut over to {v}",
        ),
        (
            "of the main branch",
            "with the weekly batch of merges",
            "after sign-off by {who}",
            "(ticket {t})",
            "for the quarterly dependency refresh",
            "including library bumps",
            "behind the standard rollout policy",
        ),
    ),
    "run": (
        "feature_job",
        (
            "Backfill window moved to {n} hours",
            "Retry policy set to {d}",
            "Pool slots changed to {d}",
            "Scheduler upgraded to {v}",
            "Run {h} started by {who}",
            "Dependencies of the DAG reordered",
            "Task group split in {d}",
            "Executor image set to {v}",
        ),
        (
            "",
            "(ticket {t})",
            "as agreed with {who}",
            "for the whole pipeline",
            "by the nightly maintenance",
            "in line with the platform defaults",
        ),
    ),
    "merge": (
        "data",
        (
            "Merge #{n}: tidy column expressions",
            "Merge #{n}: normalise units",
            "Merge #{n}: new dispute rule",
            "Merge #{n}: rewrite joins as CTEs",
            "Merge #{n}: incremental materialisation",
            "Merge #{n}: extend enum mapping",
            "Merge #{n}: macro clean-up",
            "Merge #{n}: refactor intermediate model",
        ),
        ("", "(ticket {t})", "reviewed by {who}", "with new tests", "and documentation", "as part of the model review"),
    ),
    "flag": (
        "flag",
        (
            "Flag {f} set to {p}%",
            "Experiment {f} started",
            "Experiment {f} moved to stage {d}",
            "Toggle {f} enabled",
            "Toggle {f} handed to {who}",
            "Calendar entry {f} begins",
            "Audience of {f} widened to {p}%",
            "Rollout rule {f} edited",
        ),
        ("", "(ticket {t})", "for internal review first", "by the app team", "by the growth team", "in all regions"),
    ),
    "infra": (
        "configuration",
        (
            "Apply plan {h}",
            "Instance type moved to {c}",
            "Rotate certificates",
            "Resize volumes",
            "Grant set {d} applied",
            "Eviction policy edited",
            "Compiler flags set to profile {d}",
            "Node pool {c} re-created",
        ),
        ("", "(ticket {t})", "by {who}", "in the standard window", "from the module {v}", "as per capacity review"),
    ),
    "registry": (
        "deployment",
        (
            "Promote version {d} to production",
            "Alias champion -> {d}",
            "Stage {d} approved by {who}",
            "Register candidate {d}",
            "Archive version {d}",
            "Tag {d} as stable",
            "Serving bundle {h} selected",
            "Metadata of {d} edited",
        ),
        (
            "",
            "(ticket {t})",
            "after offline review",
            "with model card",
            "by the scheduled pipeline",
            "per release calendar",
        ),
    ),
    "schema": (
        "schema",
        (
            "Subject version {d} registered",
            "Compatibility mode set to {m}",
            "Column comments edited",
            "Field order aligned",
            "Migration {n} applied",
            "Type aliases updated",
            "Contract revision {d} published",
            "Deprecated fields pruned",
        ),
        (
            "",
            "(ticket {t})",
            "by {who}",
            "with the producer team",
            "in line with the naming guide",
            "for the next release",
        ),
    ),
}
TOOLS_OF_KIND: dict[str, dict[str, float]] = {
    "source": {"deploy": 3, "schema": 2, "flag": 3, "merge": 1.5, "infra": 1.5},
    "ingest_job": {"infra": 2, "run": 2, "deploy": 1},
    "table": {"merge": 2, "schema": 2, "infra": 1, "run": 1},
    "feature_job": {"merge": 2, "deploy": 2, "run": 2, "infra": 1.5},
    "feature_view": {"merge": 2, "run": 1},
    "label_job": {"merge": 2, "run": 1.5, "infra": 1},
    "training_job": {"registry": 2, "run": 1.5, "infra": 1},
    "feature_store": {"infra": 3, "deploy": 1.5, "flag": 1},
    "model": {"registry": 2, "flag": 2.5},
    "service": {"deploy": 3, "infra": 3, "flag": 1},
    "monitor": {"infra": 1.5, "flag": 1, "deploy": 1.5},
}
PEOPLE = (
    "ana",
    "bo",
    "chen",
    "dara",
    "eli",
    "femi",
    "gus",
    "hana",
    "ivo",
    "jun",
    "kai",
    "lena",
    "mio",
    "nils",
    "olga",
    "pia",
)
FLAGS = ("aurora", "basil", "cobalt", "delta", "ember", "fjord", "grove", "harbor", "iris", "jade", "koala", "lotus")


def text(random, tool: str) -> str:
    """One text of a tool, its blanks filled at random."""
    _, openers, endings = TOOLS[tool]
    line = f"{openers[int(random.integers(len(openers)))]} {endings[int(random.integers(len(endings)))]}".strip()
    number = [int(x) for x in random.integers(0, 10_000, 6)]
    return line.format(
        v=f"v{number[0] % 9}.{number[1] % 40}.{number[2] % 10}",
        n=number[3] + 1,
        d=number[4] % 40 + 2,
        h=f"{number[5] * 7919:07x}"[-7:],
        t=f"OPS-{number[0] + 100}",
        who=PEOPLE[number[1] % len(PEOPLE)],
        f=FLAGS[number[2] % len(FLAGS)],
        p=(5, 10, 25, 50, 100)[number[3] % 5],
        c=("c6", "m7", "r6", "g5")[number[4] % 4],
        m=("backward", "forward", "full")[number[5] % 3],
    )
