"""SunSpec maps as pysunspec2 1.3.7 encodes them: the oracle for our discovery and decoding.

    pip install pysunspec2==1.3.7 && python make_fixtures.py > fixtures.toml

Each map is a common model, one model of interest and the end model. Points that are not set keep what pysunspec2 encodes
for "not implemented".
"""

import struct

import sunspec2.device as device

MAPS = [
    ("meter-203", 40000, 203, 66, {"A_SF": -2, "V_SF": -1, "Hz_SF": -2, "W_SF": 1, "VA_SF": 1, "VAR_SF": 1, "PF_SF": -2, "TotWh_SF": 0},
     {"AphA": "12.34", "AphB": "8.5", "AphC": "0.25", "PhVphA": "230.1", "PhVphB": "229.8", "PhVphC": "231.4", "Hz": "50.02", "W": "-5280",
      "WphA": "-1230", "VA": "5360", "VAR": "920", "PF": "98.5", "TotWhExp": "1500", "TotWhImp": "12345678"}),
    ("meter-204-coarse", 50000, 204, 65, {"A_SF": 0, "V_SF": 0, "Hz_SF": 0, "W_SF": 2, "TotWh_SF": 3},
     {"AphA": "12", "PhVphA": "230", "Hz": "50", "W": "5300", "TotWhImp": "12345000"}),
    ("meter-201-at-0", 0, 201, 66, {"A_SF": -3, "V_SF": -2, "Hz_SF": -2, "W_SF": 0, "TotWh_SF": 0},
     {"AphA": "1.234", "PhVphA": "229.87", "Hz": "49.98", "W": "283", "TotWhExp": "7", "TotWhImp": "4294967295"}),
    ("inverter-103", 40000, 103, 66, {"A_SF": -1, "V_SF": -1, "W_SF": 0, "Hz_SF": -2, "VA_SF": 0, "VAr_SF": 0, "PF_SF": -1, "WH_SF": 0, "DCV_SF": -1, "DCW_SF": 0, "Tmp_SF": -1},
     {"A": "21.5", "AphA": "7.2", "PhVphA": "231.5", "W": "4960", "Hz": "50.01", "VA": "4970", "VAr": "-120", "PF": "99.8", "WH": "9876543",
      "DCV": "612.3", "DCW": "5100", "TmpCab": "-3.5", "St": "4"}),
    ("inverter-101", 40000, 101, 65, {"A_SF": -2, "V_SF": -1, "W_SF": 0, "Hz_SF": -2, "WH_SF": 1, "Tmp_SF": 0},
     {"A": "4.51", "AphA": "4.51", "PhVphA": "240.2", "W": "1081", "Hz": "59.97", "WH": "123450", "TmpCab": "41", "St": "4"}),
    ("meter-213", 40000, 213, 66, {},
     {"AphA": "12.25", "PhVphA": "230.5", "PhVphB": "229.75", "Hz": "50.125", "W": "-5280.5", "PF": "0.875", "TotWhExp": "1500", "TotWhImp": "1234567"}),
    ("inverter-113", 50000, 113, 66, {},
     {"A": "21.5", "PhVphA": "231.5", "W": "4960", "Hz": "50", "WH": "987654", "TmpCab": "-3.5", "St": "4"}),
]


def words(model):
    data = model.get_mb()
    return list(struct.unpack(f">{len(data) // 2}H", data))


print("# Made by make_fixtures.py; do not edit.")
for name, base, number, common_length, factors, values in MAPS:
    common = device.Model(1, model_len=common_length)
    for point, text in {"Mn": "Negawatt Test", "Md": name, "Vr": "1.2.3", "SN": "SN-0815"}.items():
        common.points[point].value = text
    common.points["DA"].value = 1
    length = {2: 105, 1: 50}[number // 100] if number % 100 < 10 else {2: 124, 1: 60}[number // 100]
    model = device.Model(number, model_len=length)
    for point, value in factors.items():
        model.points[point].value = value
    for point, text in values.items():
        if model.points[point].sf_required:
            model.points[point].cvalue = float(text)
        elif model.points[point].pdef["type"].startswith("float"):
            model.points[point].value = float(text)
        else:
            model.points[point].value = int(text)
    regs = [0x5375, 0x6E53] + words(common)[: common_length + 2]
    assert regs[3] == common_length, regs[:5]
    regs += words(model) + [0xFFFF, 0]
    print(f'\n[[map]]\nname = "{name}"\nbase = {base}\nmodel = {number}')
    print("words = [" + ", ".join(str(r) for r in regs) + "]")
    print("[map.values]")
    for point, text in values.items():
        print(f'{point} = "{text}"')
