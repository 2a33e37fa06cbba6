// One thing in detail, beside the lists: a container and why it waits, a VM, an event, or how the cluster is.

import { byId, facts, make, say } from './dom.mjs';
import { count, duration, moment, plain, price, reasonInWords, size, timeOfDay } from './text.mjs';
import { model } from './model.mjs';
import { eachEvent, now, show } from './client.mjs';
import { needs, tailOf } from './line.mjs';
import { stateOf } from './fleet.mjs';
import { factsOf, inWords, isTrouble } from './log.mjs';
import { ORDERS, confirmOrder } from './order.mjs';

const SHOWN_EVENTS = 100;
const TITLES = { container: 'Container', instance: 'VM', event: 'Event', status: 'The cluster' };

export class Detail {
  constructor(log, changed) {
    Object.assign(this, { log, changed, kind: '', subject: null, asked: 0 });
    byId('detail-close').addEventListener('click', () => this.close());
    // What has been confirmed may have taken the button away that asked for it.
    byId('order').addEventListener('close', () => byId('detail').open && this.keepFocus());
    addEventListener('hashchange', () => this.openNamed());
  }

  // Opens what the address names behind its `#`, so that a thing can be shown to somebody else.
  openNamed() {
    const [kind, id] = decodeURIComponent(location.hash.slice(1)).split(/=(.*)/s);
    if ((kind === 'container' || kind === 'instance') && id && id !== this.subject) this.open(kind, id);
  }

  open(kind, subject) {
    if (!byId('detail').open) this.opener = document.activeElement;
    Object.assign(this, { kind, subject, shown: '', answer: null });
    const isNamed = kind === 'container' || kind === 'instance';
    history.replaceState(null, '', isNamed ? `#${kind}=${encodeURIComponent(subject)}` : location.pathname);
    say(byId('detail-title'), TITLES[kind]);
    byId('detail-body').replaceChildren(make('p', { class: 'muted' }, 'Asking …'));
    byId('detail-body').scrollTop = 0;
    document.body.classList.add('has-detail');
    if (!byId('detail').open) byId('detail').show();
    byId('detail-close').focus();
    return this.refresh();
  }

  close() {
    if (!byId('detail').open) return;
    byId('detail').close();
    document.body.classList.remove('has-detail');
    history.replaceState(null, '', location.pathname);
    Object.assign(this, { kind: '', subject: null });
    if (this.opener?.isConnected) this.opener.focus();
  }

  // Asks again for what is open. An answer that comes after another thing was opened is nobody's.
  async refresh() {
    if (!this.kind) return;
    const [kind, subject] = [this.kind, this.subject];
    this.asked += 1;
    const asked = this.asked;
    let body;
    try {
      body = await BODIES[kind](subject, this);
    } catch (error) {
      body = [make('p', { role: 'alert' }, `${kind === 'container' ? `${subject}: ` : ''}${error.message}.`)];
    }
    if (asked !== this.asked || kind !== this.kind || subject !== this.subject) return;
    this.put(make('div', {}, body));
  }

  // Shows it, unless it is the same or its reader is copying something out of it.
  put(body) {
    const place = byId('detail-body');
    const text = body.textContent;
    const isCopying = !getSelection().isCollapsed && place.contains(getSelection().anchorNode);
    if (text === this.shown || (this.shown && isCopying)) return;
    this.shown = text;
    const focused = place.contains(document.activeElement) ? document.activeElement.textContent : null;
    place.replaceChildren(body);
    if (focused === null) return;
    [...place.querySelectorAll('button')].find(it => it.textContent === focused)?.focus();
    this.keepFocus();
  }

  // The focus is not lost with the element that had it.
  keepFocus() {
    if (document.activeElement === document.body) byId('detail-body').focus();
  }

  link(kind, id, text = id) {
    return make('button', { class: 'link id', onclick: () => this.open(kind, id) }, text);
  }

  links(kind, ids, textOf = id => id) {
    return ids.length ? make('span', { class: 'links' }, ids.map(id => this.link(kind, id, textOf(id)))) : '';
  }
}

const BODIES = { container: containerBody, instance: instanceBody, event: eventBody, status: statusBody };

function section(title, ...children) {
  return make('section', {}, make('h3', {}, title), children);
}

function age(at) {
  return at ? `${duration((now() - at) / 1000)} ago, at ${timeOfDay(at)}` : '';
}

async function containerBody(uuid, detail) {
  const item = await show('container', { container_uuid: uuid });
  const { container, explain, instance_resources: resources } = item;
  const words = explain.in_words ?? reasonInWords(explain.reason, explain.evidence?.cause);
  const row = { vcpus: resources.VCPUs, ram: resources.RAM, gpus: resources.GPUs ?? 0 };
  const ahead = explain.ahead?.count ? explain.ahead : null;
  const place = explain.reserved_on;
  return [
    make('p', { class: 'subject id' }, uuid),
    make('p', { class: 'answer' }, sentence(words)),
    explain.remedy ? make('p', {}, make('span', { class: 'label' }, 'What has to change '), sentence(explain.remedy)) : null,
    explain.instances.length ? orderButtons(['killContainer'], { id: uuid }, detail) : null,
    facts([
      ['State', container.state],
      ['Reason', [explain.reason, plain(explain.evidence)].filter(Boolean).join(': ')],
      ['Its user reads', item.scheduling_status],
      ['Position', plain(explain.position)],
      ['Ahead of it', ahead ? make('span', {}, `${ahead.count}, the nearest `, detail.links('container', ahead.nearest, tailOf)) : ''],
      ['Its place', place ? make('span', {}, detail.link('instance', place.instance), placeInWords(place)) : ''],
      ['Process on', detail.links('instance', explain.instances)],
      ['Priority', String(container.priority)],
      ['Created', age(moment(container.created_at))],
      ['Needs', row.vcpus ? `${needs(row)}, ${size(resources.Scratch)} scratch` : ''],
      ['Image', container.container_image],
      ['Locked by', container.locked_by_uuid],
      ...troubles(explain),
    ]),
    explain.types?.length ? section('Instance types', typesOf(item)) : null,
    section('Events', eventList(item.events ?? [], detail)),
    logHint('container_uuid', 'ContainerUUID', uuid),
  ];
}

function placeInWords({ worker_state: state, idle_behavior: behavior, age_seconds: seconds }) {
  const words = [state, behavior, seconds === undefined ? '' : `${duration(seconds)} old`].filter(Boolean);
  return words.length ? ` (${words.join(', ')})` : '';
}

// What has gone wrong before, and what is being done now.
function troubles(explain) {
  const { setback, failed_starts: failed, operation } = explain;
  return [
    ['Setback', setback ? `${setback.cause} failed ${setback.failures} times in a row, last at ${plain(setback.at)}; tried again after ${plain(setback.until)}: ${setback.error}` : ''],
    ['Failed starts', failed ? `${failed.count} in a row, the last on ${failed.instance} at ${plain(failed.at)}: ${failed.error}` : ''],
    ['Unlocked', explain.unlocks ? `${explain.unlocks} times by this process` : ''],
    ['Attention', explain.attempts_nearly_used ? 'one more unlock would use up its dispatch attempts' : ''],
    ['Attention', explain.uncertain ? 'the outcome of its last change is not known: the next poll tells' : ''],
    ['Attention', explain.locked_before_start ? 'it was locked by an earlier process of this dispatcher' : ''],
    ['Being done', plain(operation)],
    ['Cannot be read', explain.undecodable],
  ];
}

// Each configured type: that one may be created, why not, or the rule that excludes it.
function typesOf({ explain, instance_types: fitting }) {
  const order = new Map(fitting.map((type, place) => [type.Name, place]));
  const rank = type => order.get(type.Name) ?? fitting.length;
  const types = [...explain.types].sort((a, b) => rank(a) - rank(b) || a.Price - b.Price);
  const rows = types.map(type => make(
    'tr', { class: type.excluded ? 'muted' : null },
    make('th', { scope: 'row' }, type.Name),
    make('td', { class: 'number' }, price(type.Price)),
    make('td', {}, type.excluded ? `does not fit: ${type.excluded}` : gateInWords(type.creates)),
  ));
  return table(['Type', 'Per hour', 'Creates'], rows);
}

function gateInWords(creates) {
  if (!creates) return 'not known';
  if (creates.state === 'open') return 'one may be created';
  const until = moment(creates.until) ? `, until ${timeOfDay(moment(creates.until))}` : '';
  const cloud = creates.cloud ? `. The cloud says: ${plain(creates.cloud.message)} (${plain(creates.cloud.code)})` : '';
  return `${creates.state.replaceAll('_', ' ')}: ${creates.because ?? ''}${until}${cloud}`;
}

async function instanceBody(id, detail) {
  const events = [];
  if (!model.byInstance.get(id)?.isCreating) {
    await eachEvent({ last: SHOWN_EVENTS, instance_id: id }, event => events.push(event));
  }
  const row = model.byInstance.get(id);
  const head = make('p', { class: 'subject id' }, id);
  const told = section('Events', eventList(events, detail));
  if (!row) return [head, make('p', { class: 'answer' }, 'This VM is not in the fleet. It has ended, or never was.'), told];
  const type = model.types.get(row.type);
  return [
    head,
    make('p', { class: 'answer' }, sentence(`it is ${stateOf(row)}`)),
    row.isCreating ? null : orderButtons(['hold', 'drain', 'run', 'kill'], row, detail),
    facts([
      ['State', row.state],
      ['Behaviour', [row.behavior, row.by && `by ${row.by}`, row.orderedAt && age(row.orderedAt)].filter(Boolean).join(', ')],
      ['Reason', row.why],
      ['Containers', detail.links('container', row.containers)],
      ['Full', row.containers.length ? `${Math.round(row.full * 100)} % of its CPUs or memory` : ''],
      ['Last container', row.lastContainer && !row.containers.length ? detail.link('container', row.lastContainer) : ''],
      ['Last busy', age(row.lastBusy)],
      ['Appeared', age(row.since)],
      ['Type', type ? `${row.type}: ${count(type.vcpus, 'CPU')}, ${size(type.ram)}` : row.type],
      ['Cloud calls it', row.providerType],
      ['Costs an hour', price(row.price)],
      ['Address', row.address],
    ]),
    told,
    row.isCreating ? null : logHint('instance_id', 'Instance', id),
  ];
}

function orderButtons(kinds, row, detail) {
  // Who orders something is told how the VM is then.
  const present = () => model.byInstance.get(row.id) ?? row;
  return make('p', { class: 'orders' }, kinds.map(kind => make(
    'button',
    { class: ORDERS[kind].isHard ? 'order hard' : 'order', disabled: row.behavior === kind, onclick: () => confirmOrder(kind, present(), detail.changed) },
    ORDERS[kind].name,
  )));
}

function eventBody(event, detail) {
  const pairs = factsOf(event).map(([key, value]) => {
    if (key === 'ContainerUUID') return ['Container', detail.link('container', value)];
    if (key === 'Instance') return ['VM', detail.link('instance', value)];
    return [key, value];
  });
  return [
    make('p', { class: 'answer' }, sentence(event.msg)),
    facts([['Time', event.time ? `${timeOfDay(Date.parse(event.time))} (${event.time})` : ''], ['Level', event.level], ['Number', String(event.seq)], ...pairs]),
  ];
}

function statusBody(_, detail) {
  const { creates, health } = model;
  const pauses = [
    ...creates.pauses.map(pause => [pause.scope, `paused until ${timeOfDay(moment(pause.until))}`, pause]),
    ...creates.drained.map(type => [type.instance_type, 'drained', type]),
  ];
  const types = creates.items.map(type => make(
    'tr', {},
    make('th', { scope: 'row' }, type.instance_type),
    make('td', { class: 'number' }, price(type.price)),
    make('td', { class: 'number' }, String(type.instances)),
    make('td', {}, gateInWords(type.creates)),
  ));
  const who = ({ by, reason, since }) => [by && `by ${by}`, reason, age(moment(since))].filter(Boolean).join(', ');
  return [
    section('Health', facts([
      ['Ready', health ? (health.ready ? 'yes' : `no: ${health.errors.join('; ')}`) : ''],
      ...Object.entries(health?.checks ?? {}).map(([name, check]) => [capital(name.replaceAll('_', ' ')), checkInWords(check)]),
    ])),
    section('Pauses and drained types', pauses.length
      ? facts(pauses.map(([scope, state, note]) => [scope, [state, who(note)].filter(Boolean).join(', ')]))
      : make('p', { class: 'muted' }, 'Operators have paused nothing, and drained no type.')),
    section('What may be created', table(['Type', 'Per hour', 'VMs', 'Creates'], types)),
    section('The latest warnings', eventList(detail.log.events.filter(isTrouble).slice(-20), detail)),
  ];
}

function checkInWords(check) {
  const { ok, error, age_seconds: seconds, limit_seconds: limit, connected, silent, silent_seconds: quiet } = check;
  if (connected !== undefined) return `${connected ? 'connected' : 'not connected'}${quiet ? `, silent for ${duration(quiet)}` : ''}`;
  if (seconds !== undefined) return `${ok ? 'well' : 'late'}: the last success was ${duration(seconds)} ago (limit ${duration(limit)})`;
  return ok ? 'well' : plain(error ?? silent) || 'no';
}

function table(head, rows) {
  return make(
    'table', {},
    make('thead', {}, make('tr', {}, head.map(name => make('th', { scope: 'col' }, name)))),
    make('tbody', {}, rows),
  );
}

// Events, the latest first.
function eventList(events, detail) {
  if (!events.length) return make('p', { class: 'muted' }, 'None is remembered.');
  const shown = [...events].reverse().map(event => make(
    'li', { class: event.level },
    make('span', { class: 'time' }, event.time ? timeOfDay(Date.parse(event.time)) : ''),
    make('button', { class: 'link what', onclick: () => detail.open('event', event) }, event.msg),
    make('span', { class: 'more' }, factsOf(event).filter(([key, value]) => LISTED.has(key) && value !== detail.subject).map(inWords).join(' · ')),
  ));
  return make('ol', { class: 'event-list' }, shown);
}

const LISTED = new Set(['error', 'Reason', 'Hint', 'Duration', 'State', 'By', 'IdleBehavior', 'Instance', 'ContainerUUID']);

// How to find more in the log of the service.
function logHint(parameter, key, id) {
  const option = parameter === 'instance_id' ? 'instance' : 'container';
  return section(
    'More of it',
    make('pre', { tabindex: 0, 'aria-label': 'Commands that show more' },
      `arvados-dispatch-cloud events --${option} ${id}\n`
      + `journalctl -u arvados-dispatch-cloud -o cat |\n  jq -cR 'fromjson? | select(.${key} == "${id}")'`),
  );
}

function sentence(words) {
  const text = plain(words);
  return text && `${capital(text)}${/[.!?]$/.test(text) ? '' : '.'}`;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
