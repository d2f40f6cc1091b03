use super::*;
use crate::{ByteOrder, Encoding, Profile, Table, WordOrder};

fn parsed(imported: &Imported) -> Profile {
    Profile::parse(&imported.text).unwrap_or_else(|err| panic!("{err}\n{}", imported.text))
}

#[test]
fn a_telegraf_configuration_becomes_a_profile() {
    let text = r#"
        [[inputs.modbus]]
        name = "meter"
        slave_id = 7
        controller = "file:///dev/ttyUSB0"
        baud_rate = 19200
        parity = "E"
        stop_bits = 1
        holding_registers = [
          { name = "voltage_l1", byte_order = "CDAB", data_type = "INT32", scale = 0.1, address = [0, 1] },
          { name = "power", byte_order = "DCBA", data_type = "FLOAT32-IEEE", scale = 1.0, address = [10, 11] },
          { name = "odd", byte_order = "AB", data_type = "UINT16", scale = 0.1, address = [20, 22] },
          { name = "text", byte_order = "AB", data_type = "STRING", address = [30, 31] },
          { name = "turned", byte_order = "AB", data_type = "INT16", scale = -1.0, address = [40] },
        ]
        coils = [{ name = "on", address = [0] }]
        [[inputs.modbus.request]]
        slave_id = 7
        byte_order = "BADC"
        register = "input"
        fields = [{ address = 100, name = "Import", type = "UINT64", scale = 0.001 }]
    "#;
    let imported = import(Origin::Telegraf, "own-meter", "telegraf.conf", text).unwrap();
    let profile = parsed(&imported);
    let point = |id: &str| profile.point(id).unwrap_or_else(|| panic!("{id}\n{}", imported.text));
    assert_eq!((point("v1").address, point("v1").encoding, point("v1").word_order), (0, Encoding::I32, WordOrder::LowFirst));
    assert_eq!((point("p").word_order, point("p").byte_order), (WordOrder::LowFirst, ByteOrder::LowFirst));
    assert_eq!(
        (point("e_imp").table, point("e_imp").encoding, point("e_imp").byte_order),
        (Table::Input, Encoding::U64, ByteOrder::LowFirst)
    );
    assert_eq!((profile.unit_id(), profile.serial().unwrap().baud, profile.points().len()), (7, 19_200, 3));
    assert_eq!(
        imported.lost,
        [
            "odd: its registers do not follow one another",
            "text: type STRING is not understood",
            "turned: a scale of -1 cannot be carried over exactly",
            "coils are single bits, which a profile does not have",
            "units are not stated for p, e_imp: write them",
            "which counters can be billed from is not stated: write billing = true where it is so",
            "how many registers one read may have is not stated: 16 is a careful beginning",
        ]
    );
}

#[test]
fn an_mbmd_list_becomes_a_profile() {
    let text = "
        ops := Opcodes{
            VoltageL1: 0x0000, // 230
            CurrentL1: 6,
            Power:     0x0034,
            // Import: 0x0048,
            Export:    0x004A,
        }
        FuncCode: ReadInputReg, ReadLen: 2, Transform: RTUIeee754ToFloat64,
    ";
    let profile = parsed(&import(Origin::Mbmd, "own-meter", "meter.go", text).unwrap());
    let points: Vec<(&str, u16)> = profile.points().iter().map(|point| (point.id.as_str(), point.address)).collect();
    assert_eq!(points, [("v1", 0), ("i1", 6), ("p", 52), ("e_exp", 74)]);
    assert!(profile.points().iter().all(|point| point.encoding == Encoding::F32 && point.table == Table::Input));
    assert_eq!(profile.point("e_exp").unwrap().unit.symbol(), "kWh");
    let two = text.replace("Transform: ", "Transform: RTUUint16ToFloat64, ");
    assert!(matches!(import(Origin::Mbmd, "own-meter", "meter.go", &two), Err(ImportError::Nothing { .. })));
}

#[test]
fn an_mbmd_meter_with_a_helper_for_each_type_becomes_a_profile() {
    let text = "
        ops := Opcodes{
            VoltageL1: 0x5B00,
            Cosphi: 0x5B3A,
            Import: 0x5000,
            THD: 0x6000,
        }
func (p *OwnProducer) snip(iec Measurement, readlen uint16, transform RTUTransform, scaler ...float64) Operation {
        FuncCode: ReadHoldingReg, Transform: MakeScaledTransform(transform, scaler[0]),
}
func (p *OwnProducer) snip16i(iec Measurement, scaler ...float64) Operation {
        return p.snip(iec, 1, RTUInt16ToFloat64, scaler...)
}
func (p *OwnProducer) snip32u(iec Measurement, scaler ...float64) Operation {
        return p.snip(iec, 2, RTUUint32ToFloat64, scaler...)
}
func (p *OwnProducer) Produce() (res []Operation) {
        for _, op := range []Measurement{
            VoltageL1, Import,
        } {
            res = append(res, p.snip32u(op, 10))
        }
        for _, op := range []Measurement{Cosphi} {
            res = append(res, p.snip16i(op, 1000))
        }
}
";
    let imported = import(Origin::Mbmd, "own-meter", "meter.go", text).unwrap();
    let profile = parsed(&imported);
    let points: Vec<(&str, u16, Encoding, i8)> =
        profile.points().iter().map(|point| (point.id.as_str(), point.address, point.encoding, point.scale.exponent)).collect();
    assert_eq!(points, [("v1", 0x5B00, Encoding::U32, -1), ("pf", 0x5B3A, Encoding::I16, -3), ("e_imp", 0x5000, Encoding::U32, -1)]);
    assert_eq!(imported.lost[0], "THD: which of its 2 transformations is meant is not said in a list");
}

#[test]
fn an_evcc_template_becomes_a_profile() {
    let text = r#"
power:
  source: modbus
  {{- include "modbus" . | indent 2 }}
  register:
    address: 12 # W
    type: input
    decode: float32
  scale: -1
energy:
  source: modbus
  register:
    address: 72
    type: holding
    decode: uint32s
  scale: 0.01
currents:
  - source: modbus
    register:
      address: 6
      type: input
      decode: float32
  - source: modbus
    register:
      address: 8
      type: input
      decode: float32
"#;
    let imported = import(Origin::Evcc, "own-meter", "meter.yaml", text).unwrap();
    let profile = parsed(&imported);
    let points: Vec<(&str, u16)> = profile.points().iter().map(|point| (point.id.as_str(), point.address)).collect();
    assert_eq!(points, [("p", 12), ("e_imp", 72), ("i1", 6), ("i2", 8)]);
    let energy = profile.point("e_imp").unwrap();
    assert_eq!((energy.encoding, energy.word_order, energy.exponent), (Encoding::U32, WordOrder::LowFirst, -2));
    assert!(imported.lost[0].starts_with("power: its sign is turned"), "{:?}", imported.lost);
}

#[test]
fn the_two_meanings_of_float32_and_the_units_of_a_telegraf_configuration() {
    let text = r#"
        [[inputs.modbus]]
        controller = "tcp://10.0.0.1:502"
        holding_registers = [
          { name = "voltage_l1", byte_order = "AB", data_type = "FLOAT32", scale = "0.1", address = [0] },
          { name = "energy", byte_order = "BA", data_type = "FLOAT32", scale = 0.001, address = [5, 6] },
        ]
        [[inputs.modbus.metric]]
        slave_id = 3
        fields = [
          { address = 20, name = "power", type = "FLOAT32", register = "input" },
          { address = 22, name = "spare", type = "UINT16", omit = true },
          { address = 23, name = "untyped" },
        ]
        [[inputs.modbus.metric]]
        slave_id = 4
        fields = [{ address = 20, name = "power_l1", type = "INT16" }]
    "#;
    let imported = import(Origin::Telegraf, "own-meter", "telegraf.conf", text).unwrap();
    let profile = parsed(&imported);
    let of = |id: &str| profile.point(id).map(|point| (point.encoding, point.word_order, point.byte_order));
    assert_eq!(of("v1").map(|of| of.0), Some(Encoding::U16), "an old name for an integer with decimals");
    assert_eq!(of("e_imp"), Some((Encoding::U32, WordOrder::LowFirst, ByteOrder::LowFirst)));
    assert_eq!(of("p").map(|of| of.0), Some(Encoding::F32));
    assert_eq!((profile.points().len(), profile.unit_id()), (3, 3));
    assert_eq!(imported.lost[..2], ["untyped: it has no type", "registers of unit 4: one profile is one device, that of the first unit"]);
}

#[test]
fn what_an_evcc_template_computes_or_chooses_is_said() {
    let text = r#"
template: hybrid
render: |
  type: custom
  power:
    source: calc
    add:
    - source: modbus
      register:
        address: 672
        type: holding
        decode: uint16
    - source: modbus
      register:
        address: 673
        type: holding
        decode: uint16
  import:
    source: modbus
    register:
      {{- if eq .usage "pv" }}
      address: 64 # reversed
      {{- else }}
      address: 62 # forward
      {{- end }}
      type: holding
      decode: int32
    scale: 0.01
  export:
    source: modbus
    register:
      address: 0x0118
      type: input
      decode: uint32nan
  batterymode:
    source: switch
    set:
      register:
        address: 166
        type: writemultiple
        decode: int32s
"#;
    let imported = import(Origin::Evcc, "own-meter", "hybrid.yaml", text).unwrap();
    let profile = parsed(&imported);
    let points: Vec<(&str, u16, &str)> =
        profile.points().iter().map(|point| (point.id.as_str(), point.address, point.unit.symbol())).collect();
    assert_eq!(points, [("power_part1", 672, ""), ("power_part2", 673, ""), ("e_imp", 62, "kWh"), ("e_exp", 0x118, "kWh")]);
    assert_eq!(profile.point("e_exp").unwrap().invalid, [0xFFFF_FFFF]);
    assert_eq!(
        imported.lost[..3],
        [
            "power: it is computed from several registers, which are carried over as parts",
            "import: register 64 or 62, by what it is used for: the last one is carried over",
            "batterymode: its address or its type is not a plain one",
        ]
    );
}

#[test]
fn what_is_no_list_is_refused() {
    assert!(matches!(import(Origin::Telegraf, "x", "x", "a = ["), Err(ImportError::Syntax(_))));
    for origin in [Origin::Telegraf, Origin::Mbmd, Origin::Evcc] {
        assert!(matches!(import(origin, "x", "x", ""), Err(ImportError::Nothing { .. })), "{origin:?}");
    }
}

#[test]
fn names_become_ids() {
    let names = ["VoltageL1", "voltage_l2", "Current3", "Power", "PowerL1", "Total Energy", "CosphiL2", "Größe", ""];
    assert_eq!(names.map(id_of), ["v1", "v2", "i3", "p", "p1", "e_sum", "pf2", "gr__e", "point"]);
}
