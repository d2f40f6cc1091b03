// modbus-serial for Node as a meter or as a reader of one.
//
// modbus_serial.cjs FOLDER server tcp PORT WORDS | FOLDER server serial DEVICE BAUD WORDS
// modbus_serial.cjs FOLDER client tcp PORT UNIT SPANS | FOLDER client serial DEVICE BAUD UNIT SPANS
//
// WORDS is a JSON object of input registers; a server answers for unit 1, prints `ready` and ends with its standard input.
// SPANS is a JSON list of [first, count]; a client prints what it read as an object of registers.
const { createRequire } = require('node:module')

const [folder, role, transport, ...rest] = process.argv.slice(2)
const { default: ModbusRTU, ServerTCP, ServerSerial } = (() => {
  const found = createRequire(folder + '/')('modbus-serial')
  return { default: found.default ?? found, ServerTCP: found.ServerTCP, ServerSerial: found.ServerSerial }
})()
const UNIT = 1

function serve () {
  const words = JSON.parse(rest[rest.length - 1])
  const vector = {
    getInputRegister: (address) => {
      if (words[address] === undefined) throw Object.assign(new Error('no such register'), { modbusErrorCode: 2 })
      return words[address]
    },
    getHoldingRegister: () => { throw Object.assign(new Error('no such register'), { modbusErrorCode: 2 }) }
  }
  const ready = () => console.log('ready')
  const server = transport === 'tcp'
    ? new ServerTCP(vector, { host: '127.0.0.1', port: Number(rest[0]), unitID: UNIT, debug: false })
    : new ServerSerial(vector, { port: rest[0], baudRate: Number(rest[1]), unitID: UNIT, debug: false, openCallback: (error) => { if (error) throw error } })
  server.on('initialized', ready)
  server.on('error', (error) => { throw error })
  process.stdin.on('end', () => process.exit(0)).resume()
}

async function read () {
  const client = new ModbusRTU()
  if (transport === 'tcp') await client.connectTCP('127.0.0.1', { port: Number(rest[0]) })
  else await client.connectRTUBuffered(rest[0], { baudRate: Number(rest[1]) })
  client.setID(Number(rest[rest.length - 2]))
  client.setTimeout(5000)
  const words = {}
  for (const [first, count] of JSON.parse(rest[rest.length - 1])) {
    const { data } = await client.readInputRegisters(first, count)
    data.forEach((word, offset) => { words[first + offset] = word })
  }
  client.close(() => {})
  console.log(JSON.stringify(words))
  process.exit(0)
}

if (role === 'server') serve()
else read().catch((error) => { console.error(error); process.exit(1) })
