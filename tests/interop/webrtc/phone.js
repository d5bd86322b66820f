// A softphone in a browser: JsSIP as it is, and the little that an app developer adds to it.
// What happens is kept under its name, so that whoever asks for it late is answered as well.
import JsSIP from "jssip";

const MEDIA = { mediaConstraints: { audio: true, video: false }, pcConfig: { iceServers: [] } };

const events = new Map();
let socket = null;
let agent = null;
let session = null;

function event(name) {
  if (!events.has(name)) {
    const slot = {};
    slot.seen = new Promise((resolve) => { slot.happened = resolve; });
    events.set(name, slot);
  }
  return events.get(name);
}

function note(name, told = {}) {
  console.log(name, JSON.stringify(told));
  event(name).happened(told);
}

function take({ session: begun, originator, request }) {
  session = begun;
  session.on("sending", (said) => note("sending", { offer: said.request.body }));
  session.on("confirmed", () => note("confirmed"));
  session.on("hold", (said) => note(`hold by ${said.originator}`));
  session.on("unhold", (said) => note(`unhold by ${said.originator}`));
  session.on("failed", (said) => note("failed", { status: said.message?.status_code ?? 0 }));
  session.on("ended", (said) => note(`ended by ${said.originator}`));
  if (originator === "remote") {
    const [uuid, contact] = ["X-Push-Call-ID", "Contact"].map((name) => request.getHeader(name));
    note("invited", { uuid, contact, offer: request.body });
  }
}

window.phone = {
  start(url, account) {
    socket = new JsSIP.WebSocketInterface(url);
    agent = new JsSIP.UA({ sockets: [socket], connection_recovery_min_interval: 1, ...account });
    agent.on("registered", () => note("registered"));
    agent.on("registrationFailed", ({ cause }) => note("registrationFailed", { cause }));
    agent.on("newRTCSession", take);
    agent.start();
  },
  call(target) { agent.call(target, MEDIA); },
  answer() { session.answer(MEDIA); },
  decline(status) { session.terminate({ status_code: status }); },
  hold() { return new Promise((done) => { session.hold({}, done); }); },
  unhold() { return new Promise((done) => { session.unhold({}, done); }); },
  lose() {
    const lost = new Promise((done) => { agent.on("disconnected", () => done()); });
    socket._ws.close();
    return lost;
  },
  hangUp() { session.terminate(); },
  seen(name) { return event(name).seen; },
  settled() { return session.status === session.C.STATUS_CONFIRMED; },
  async inbound() {
    const reports = [...(await session.connection.getStats()).values()];
    return reports.find(({ type }) => type === "inbound-rtp")?.packetsReceived ?? 0;
  },
};
