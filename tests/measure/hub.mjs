// The least that passes on the same messages as the hub, with node and ws: what the hub is measured against. No limits, no checks.
import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';
import { WebSocketServer } from 'ws';

const clients = new Map();
const rooms = new Map();
const server = createServer((request, response) => response.end('ok'));
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', socket => {
  const id = randomBytes(8).toString('hex');
  let room;
  clients.set(id, socket);
  const say = message => socket.send(JSON.stringify(message));
  say({ type: 'welcome', clientId: id });
  socket.on('message', data => {
    const message = JSON.parse(data);
    if (message.type === 'join') {
      room = message.room;
      const members = rooms.get(room) ?? rooms.set(room, new Set()).get(room);
      say({ type: 'joined', room, clientId: id, clients: [...members].map(clientId => ({ clientId })) });
      for (const other of members) clients.get(other).send(JSON.stringify({ type: 'clientJoined', clientId: id }));
      members.add(id);
    } else if (message.target) {
      const { target, ...rest } = message;
      clients.get(target)?.send(JSON.stringify({ ...rest, sender: id }));
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    clients.delete(id);
    const members = rooms.get(room);
    members?.delete(id);
    if (members?.size === 0) rooms.delete(room);
    for (const other of members ?? []) clients.get(other)?.send(JSON.stringify({ type: 'clientDisconnected', clientId: id }));
  });
});
server.listen(Number(process.env.PORT));
