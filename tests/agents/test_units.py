"""Unit conversions found from quantiles, and what is not mistaken for one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.units import BY_ID, CONVERSIONS, best_fit, error_of, mean_gap, quantity_of

Q = (0.05, 0.25, 0.5, 0.75, 0.95)


def quantiles(x):
    return [float(v) for v in np.quantile(x, Q)]


@pytest.mark.parametrize(
    ("feature", "old", "new"),
    [
        ("temp", "Fahrenheit", "Celsius"),
        ("air_temperature", "Celsius", "Kelvin"),
        ("distance", "kilometres", "miles"),
        ("wind_speed", "metres per second", "knots"),
        ("latency", "seconds", "milliseconds"),
        ("amount_usd", "dollars", "cents"),
        ("weight", "kilograms", "pounds"),
        ("click_rate", "a share", "per cent"),
        ("pressure", "hectopascals", "inches of mercury"),
        ("altitude", "feet", "metres"),
    ],
)
def test_a_converted_feature_is_recognised_with_both_units(feature, old, new):
    """From two samples of the same quantity in two units, the conversion is found by its quantiles."""
    r = np.random.default_rng(1)
    before, after = r.gamma(4, 10, 3_000), r.gamma(4, 10, 300)
    convert = BY_ID[f"{old} to {new}"]
    fit = best_fit(quantiles(before), quantiles(convert(after)), feature)
    assert fit.accepted
    found = BY_ID[fit.conversion]
    assert (found.scale, found.shift) == pytest.approx((convert.scale, convert.shift), rel=0.02)
    assert found.quantity == quantity_of(feature)


@given(st.floats(0.5, 1.4), st.floats(-0.6, 0.6))
def test_a_moderate_shift_is_no_conversion(scale, shift):
    """A level or spread that moved by less than itself is not explained by any unit."""
    r = np.random.default_rng(2)
    before = r.normal(50, 20, 2_000)
    after = scale * (r.normal(50, 20, 400) - 50) + 50 + 20 * shift
    fit = best_fit(quantiles(before), quantiles(after), "x7")
    assert not fit.accepted


def test_a_feature_named_after_a_quantity_never_takes_another_quantitys_unit():
    """A temperature that fell by four of its spreads did not arrive in miles, though the numbers would fit."""
    r = np.random.default_rng(3)
    fit = best_fit(quantiles(r.normal(50, 5, 1_000)), quantiles(r.normal(30, 5, 300)), "temp")
    assert not fit.accepted


def test_a_constant_feature_tells_nothing():
    """Without any spread there is no fit at all."""
    assert best_fit([1.0] * 5, [2.0] * 5, "temp") is None
    assert best_fit([], [1.0, 2, 3, 4, 5], "temp") is None


@pytest.mark.parametrize("conversion", CONVERSIONS, ids=lambda c: c.id)
def test_every_conversion_fits_itself_without_error(conversion):
    """Converted quantiles lie at distance nothing from the converted healthy ones."""
    before = [1.0, 2.0, 3.0, 5.0, 9.0]
    after = [conversion(v) for v in before]
    assert error_of(conversion.id, before, after) == pytest.approx(0, abs=1e-6)
    assert mean_gap(conversion.id, before, after) == pytest.approx(0, abs=1e-6 * max(map(abs, after)))
