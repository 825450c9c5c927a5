// A camera, viewers, a media server and its client, with node and ws, from the messages of docs/signaling.md alone: clients that know nothing of
// this program. Ends with 1 and the reason at the first thing that is not as it is written there.
//
//   NODE_PATH=/usr/share/nodejs node room_clients.cjs ws://127.0.0.1:7415/
const { deepStrictEqual: same } = require('node:assert');
const WebSocket = require('ws');

const url = process.argv[2];

class Client {
  #heard = [];
  #waiting = [];

  static async connect() {
    const client = new Client();
    client.socket = new WebSocket(url, { perMessageDeflate: false });
    client.socket.on('message', data => {
      const message = JSON.parse(data);
      const waiting = client.#waiting.shift();
      waiting ? waiting(message) : client.#heard.push(message);
    });
    await new Promise((resolve, reject) => client.socket.once('open', resolve).once('error', reject));
    const welcome = await client.next();
    same(Object.keys(welcome).sort(), ['clientId', 'type']);
    same(welcome.type, 'welcome');
    client.id = welcome.clientId;
    return client;
  }

  say(message) {
    this.socket.send(JSON.stringify(message));
  }

  next() {
    if (this.#heard.length) return Promise.resolve(this.#heard.shift());
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('nothing was heard for 5 s')), 5000);
      this.#waiting.push(message => { clearTimeout(late); resolve(message); });
    });
  }

  async hears(...wanted) {
    for (const message of wanted) same(await this.next(), message);
  }
}

async function rooms() {
  const camera = await Client.connect();
  camera.say({ type: 'join', room: 'hall', deviceType: 'camera', cameraId: 'door' });
  await camera.hears({ type: 'joined', room: 'hall', clientId: camera.id, clients: [] });

  // A late joiner hears of the camera that is there.
  const viewer = await Client.connect();
  viewer.say({ type: 'join', room: 'hall' });
  await viewer.hears(
    { type: 'joined', room: 'hall', clientId: viewer.id, clients: [{ clientId: camera.id, deviceType: 'camera', cameraId: 'door' }] },
    { type: 'cameraAvailable', cameraId: 'door', clientId: camera.id });
  await camera.hears({ type: 'clientJoined', clientId: viewer.id });

  viewer.say({ type: 'requestStream', cameraId: 'window' });
  await viewer.hears({ type: 'cameraNotFound', cameraId: 'window' });
  viewer.say({ type: 'requestStream', cameraId: 'door' });
  await camera.hears({ type: 'viewerRequest', viewerId: viewer.id, cameraId: 'door' });

  const offer = { type: 'offer', sdp: 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n' };
  camera.say({ type: 'offer', target: viewer.id, sdp: offer });
  await viewer.hears({ type: 'offer', sender: camera.id, sdp: offer });
  const answer = { type: 'answer', sdp: 'v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\n' };
  viewer.say({ type: 'answer', target: camera.id, sdp: answer });
  await camera.hears({ type: 'answer', sender: viewer.id, sdp: answer });
  const candidate = { candidate: 'candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'ab12' };
  for (const [from, to] of [[camera, viewer], [viewer, camera]]) {
    from.say({ type: 'iceCandidate', target: to.id, candidate });
    await to.hears({ type: 'iceCandidate', sender: from.id, candidate });
  }

  // Joining another room leaves the first, and nothing gets there any more.
  viewer.say({ type: 'join', room: 'yard' });
  await viewer.hears({ type: 'joined', room: 'yard', clientId: viewer.id, clients: [] });
  await camera.hears({ type: 'clientDisconnected', clientId: viewer.id });
  camera.say({ type: 'offer', target: viewer.id, sdp: offer });
  same((await camera.next()).code, 'targetNotFound');

  // Who vanishes is announced.
  viewer.say({ type: 'join', room: 'hall' });
  same((await viewer.next()).type, 'joined');
  same((await viewer.next()).type, 'cameraAvailable');
  camera.socket.terminate();
  const [first, second] = [await viewer.next(), await viewer.next()].sort((a, b) => a.type < b.type ? -1 : 1);
  same(first, { type: 'cameraUnavailable', cameraId: 'door' });
  same(second, { type: 'clientDisconnected', clientId: camera.id });

  // Nonsense gets an error, and the connection goes on.
  viewer.socket.send('nonsense');
  same((await viewer.next()).code, 'malformed');
  viewer.say({ type: 'requestStream', cameraId: 'door' });
  await viewer.hears({ type: 'cameraNotFound', cameraId: 'door' });
  viewer.socket.close();
}

async function mediaServer() {
  const [server, client] = [await Client.connect(), await Client.connect()];
  server.say({ type: 'register_media_server' });
  await server.hears({ type: 'media_server_registered' });
  client.say({ type: 'offer', sdp: 'v=0\r\n', video_source: 'door' });
  await server.hears({ type: 'offer', client_id: client.id, sdp: 'v=0\r\n', video_source: 'door' });
  server.say({ type: 'answer', client_id: client.id, sdp: 'v=0\r\n' });
  await client.hears({ type: 'answer', client_id: client.id, sdp: 'v=0\r\n' });
  const candidate = { candidate: 'candidate:1', sdpMLineIndex: 0 };
  server.say({ type: 'ice', client_id: client.id, candidate });
  await client.hears({ type: 'ice', client_id: client.id, candidate });
  client.say({ type: 'ice', candidate });
  await server.hears({ type: 'ice', client_id: client.id, candidate });
  server.socket.close();
  client.socket.close();
}

rooms().then(mediaServer).then(() => console.log('all as documented'), error => {
  console.error(error.message);
  process.exit(1);
});
