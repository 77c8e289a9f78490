"""Hours of warning before a target is breached: quantiles of the next 24 hours of a signal, and what they mean.

panel.py       hourly series, scaled so that 1 is the target and above it is bad; cases cut from them
simple.py      persistence and Holt-Winters
pooled.py      the pooled quantile network, run by numpy from `pooled.npz`
networks.py    training, and N-HiTS and TFT: the only home of lightning and pytorch_forecasting
conformal.py   intervals that hold what they promise
breach.py      from quantiles to the hour of a breach; levels that had to prove themselves
scores.py      pinball, coverage, average precision; backtests
outlook.py     all of it together: from series to an `Outlook` a card can show
picture.py     an outlook as a picture
"""
