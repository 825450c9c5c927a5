// One Chromium sends a film to another by WebRTC, each in a network namespace of its own; what getStats and the page say of it goes to standard
// output, a line of JSON every 100 ms: {"at": ms, "sender": {...}, "receiver": {...}} with what page.html's look() returns. Ends with SIGTERM.
//
//   node call.mjs --from NAMESPACE --to NAMESPACE --film FILE.y4m [--codec H264|VP8] [--bitrate 2500000] [--browser chromium] [--grabs FOLDER]
//
// With --grabs, the luma of what is shown goes into the folder once a second, as MOMENT-WIDTHxHEIGHT.luma.
//
// Signalling goes through this process, by the pipes that each browser is controlled through, so that the bad network is only between the two.
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pathToFileURL, fileURLToPath} from 'node:url';

const options = {codec: 'VP8', bitrate: '2500000', browser: 'chromium', note: '1'};
for (let at = 2; at + 1 < process.argv.length; at += 2) options[process.argv[at].replace(/^--/, '')] = process.argv[at + 1];
const page = pathToFileURL(join(fileURLToPath(new URL('.', import.meta.url)), 'page.html')).href;
const ends = [];

/** A browser with the page open; `evaluate` runs an expression in it. */
async function open(namespace) {
  const profile = mkdtempSync(join(tmpdir(), 'portal-chromium-'));
  const browser = spawn('ip', ['netns', 'exec', namespace, options.browser, '--headless', '--no-sandbox', '--remote-debugging-pipe',
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', `--use-file-for-fake-video-capture=${options.film}`,
    // Addresses of namespaces are not resolved by mDNS; a page that nobody looks at must not be slowed down.
    '--disable-features=WebRtcHideLocalIpsWithMdns', '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
    '--autoplay-policy=no-user-gesture-required', '--disable-gpu', '--mute-audio', '--no-first-run', '--disable-dev-shm-usage',
    `--user-data-dir=${profile}`, 'about:blank'], {stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe']});
  let complaints = '';
  browser.stderr.on('data', data => complaints = (complaints + data).slice(-4000));
  const waiting = new Map();
  let number = 0, rest = Buffer.alloc(0);
  browser.stdio[4].on('data', data => {
    rest = Buffer.concat([rest, data]);
    for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) {
      const message = JSON.parse(rest.subarray(0, end));
      const done = waiting.get(message.id);
      if (done) done(message);
      waiting.delete(message.id);
    }
  });
  browser.on('exit', code => fail(`the browser in ${namespace} ended with ${code}: ${complaints}`));
  const ask = (method, params = {}, sessionId) => new Promise((resolve, reject) => {
    waiting.set(++number, ({result, error}) => error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result));
    browser.stdio[3].write(JSON.stringify({id: number, method, params, sessionId}) + '\0');
  });
  const {targetId} = await ask('Target.createTarget', {url: page});
  const {sessionId} = await ask('Target.attachToTarget', {targetId, flatten: true});
  const evaluate = async expression => {
    const {result, exceptionDetails} = await ask('Runtime.evaluate', {expression, awaitPromise: true, returnByValue: true}, sessionId);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  const end = {browser, profile, evaluate};
  ends.push(end);
  // The page's scripts may not have run yet.
  while (await evaluate('typeof look') !== 'function') await new Promise(resolve => setTimeout(resolve, 50));
  return end;
}

function close() {
  for (const {browser, profile} of ends) {
    browser.removeAllListeners('exit');
    browser.kill('SIGKILL');
    try { rmSync(profile, {recursive: true, force: true, maxRetries: 5}); } catch { /* a temporary folder more */ }
  }
}

function fail(reason) {
  console.error(String(reason?.message ?? reason));
  close();
  process.exit(1);
}

process.on('unhandledRejection', fail);
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => { close(); process.exit(0); });
const sender = await open(options.from), receiver = await open(options.to);
const offered = await sender.evaluate(`offer('${options.codec}', ${Number(options.bitrate)}, ${Number(options.note)})`);
const answered = await receiver.evaluate(`answer(${JSON.stringify(offered)})`);
console.log(JSON.stringify({at: Date.now(), started: true}));
await sender.evaluate(`accept(${JSON.stringify(answered)})`);
if (options.grabs) {
  setInterval(async () => {
    const at = Date.now();
    const {width, height, luma} = JSON.parse(await receiver.evaluate('grab()'));
    writeFileSync(join(options.grabs, `${at}-${width}x${height}.luma`), Buffer.from(luma, 'base64'));
  }, 1000);
}
for (;;) {
  const looks = await Promise.all([sender, receiver].map(end => end.evaluate('look()')));
  console.log(`{"at":${Date.now()},"sender":${looks[0]},"receiver":${looks[1]}}`);
  await new Promise(resolve => setTimeout(resolve, 100));
}
