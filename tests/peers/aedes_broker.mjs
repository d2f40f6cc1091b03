// A broker of other people that speaks MQTT 5: aedes on a port of the loopback address. NODE_PATH does not count for modules,
// so the folder it is installed in comes with the command line.
import { createServer } from 'node:net'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [folder, port] = process.argv.slice(2)
const found = createRequire(folder + '/').resolve('aedes')
const { Aedes } = await import(pathToFileURL(found).href)
const broker = await Aedes.createBroker()
createServer(broker.handle).listen(Number(port), '127.0.0.1')
