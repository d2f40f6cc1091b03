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

bills, _ = eemeter.get_baseline_data(
    read("il-electricity-cdd-hdd-billing_monthly", "value"), end=end, max_days=365, allow_billing_period_overshoot=True
)
matrix = eemeter.create_caltrack_billing_design_matrix(bills, temperature)
began = time.process_time()
eemeter.fit_caltrack_usage_per_day_model(matrix, use_billing_presets=True, weights_col="n_days_kept")
billing = time.process_time() - began

meter = read("il-electricity-cdd-hdd-hourly", "value").asfreq("H")
hours, _ = eemeter.get_baseline_data(meter, end=end, max_days=365)
hours = hours.asfreq("H")
later, _ = eemeter.get_reporting_data(meter, start=datetime(2017, 1, 4, tzinfo=pytz.UTC), max_days=365)
began = time.process_time()
preliminary = eemeter.create_caltrack_hourly_preliminary_design_matrix(hours, temperature)
segmentation = eemeter.segment_time_series(preliminary.index, "three_month_weighted")
occupancy = eemeter.estimate_hour_of_week_occupancy(preliminary, segmentation=segmentation)
bins = eemeter.fit_temperature_bins(preliminary, segmentation=segmentation)
matrices = eemeter.create_caltrack_hourly_segmented_design_matrices(preliminary, segmentation, occupancy, bins)
segments = eemeter.fit_caltrack_hourly_model(matrices, occupancy, bins)
segments.predict(later.asfreq("H").index, temperature)
hourly = time.process_time() - began

versions = {name: import_module(name).__version__ for name in ("numpy", "pandas", "scipy", "statsmodels")}
versions["eemeter"] = eemeter.get_version()
versions["python"] = platform.python_version()
found = {"seconds": daily, "candidates": len(model.candidates), "r_squared_adj": model.r_squared_adj}
parts = {"daily": found, "billing": {"seconds": billing}, "hourly": {"seconds": hourly}, "versions": versions}
print(json.dumps(parts))
