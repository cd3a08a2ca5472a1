"""Cuts the training and the test rows out of the raw file: the last `days` days before `until`."""

import pandas as pd
import yaml

with open("params.yaml") as file:
    params = yaml.safe_load(file)["prepare"]

rows = pd.read_csv("data/hour.csv")
rows["time"] = pd.to_datetime(rows["dteday"], format="%m/%d/%Y") + pd.to_timedelta(rows["hr"], unit="h")

until = pd.Timestamp(params["until"]).tz_localize(None)
since = until - pd.Timedelta(days=params["days"])
rows = rows[(since <= rows["time"]) & (rows["time"] < until)]
if rows.empty:
    raise SystemExit(f"no rows between {since} and {until}")

# The newest days are what the model will meet next, so they are what it is tested on.
test_since = until - pd.Timedelta(days=params["test_days"])
columns = [
    "time", "season", "mnth", "hr", "holiday", "weekday", "workingday", "weathersit",
    "temp", "atemp", "hum", "windspeed", "cnt",
]
rows = rows[columns]
rows[rows["time"] < test_since].to_csv("data/train.csv", index=False)
rows[test_since <= rows["time"]].to_csv("data/test.csv", index=False)
print(f"{(rows['time'] < test_since).sum()} rows to train on, {(test_since <= rows['time']).sum()} to test on")
