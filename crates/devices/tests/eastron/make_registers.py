"""The register tables of sdm_modbus 0.7.0: the oracle for our Eastron profiles.

    pip download --no-deps --no-binary :none: sdm_modbus==0.7.0 && unzip sdm_modbus-*.whl sdm_modbus/sdm.py
    python make_registers.py sdm_modbus/sdm.py > registers.toml

The file is read rather than imported, because it needs an older pymodbus than our other tests.
"""

import re
import sys

PROFILES = {"SDM120": "eastron-sdm120", "SDM230": "eastron-sdm230", "SDM630": "eastron-sdm630", "SDM72V2": "eastron-sdm72d-v2", "SDM72": "eastron-sdm72d"}
ENTRY = re.compile(r'"(\w+)": \((0x[0-9a-fA-F]+), 2, meter\.registerType\.INPUT, meter\.registerDataType\.FLOAT32, float, "[^"]*", "([^"]*)", 1, 1\)')

print("# Made by make_registers.py; do not edit.")
for part in open(sys.argv[1]).read().split("\nclass ")[1:]:
    name = part.split("(")[0]
    for key, address, unit in ENTRY.findall(part):
        if name in PROFILES:
            print(f'\n[[register]]\nprofile = "{PROFILES[name]}"\nkey = "{key}"\naddress = {int(address, 16)}\nunit = "{unit}"')
