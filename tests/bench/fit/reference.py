"""Times eemeter 2.10 on the sample of the bench and prints one object. CPU seconds of one thread, without loading."""
import json
import platform
import sys
import time
from datetime import datetime
from importlib import import_module

import eemeter
import pandas as pd
import pytz

fixtures = sys.argv[1]


def read(name, column):
    frame = pd.read_csv(f"{fixtures}/{name}.csv.gz")
    frame.index = pd.to_datetime(frame.iloc[:, 0], utc=True)
    return frame[[column]]


end = datetime(2016, 12, 26, tzinfo=pytz.UTC)
temperature = read("il_temperature_hourly", "temp_f")["temp_f"].asfreq("H")
meter = read("il-electricity-cdd-hdd-daily", "value")
baseline, _ = eemeter.get_baseline_data(meter, end=end, max_days=365)
matrix = eemeter.create_caltrack_daily_design_matrix(baseline, temperature)

began = time.process_time()
model = eemeter.fit_caltrack_usage_per_day_model(matrix)
daily = time.process_time() - began

versions = {name: import_module(name).__version__ for name in ("numpy", "pandas", "scipy", "statsmodels")}
versions["eemeter"] = eemeter.get_version()
versions["python"] = platform.python_version()
found = {"seconds": daily, "candidates": len(model.candidates), "r_squared_adj": model.r_squared_adj}
print(json.dumps({"daily": found, "versions": versions}))
