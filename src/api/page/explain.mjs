// A container in detail: why it waits, what has to change, and all that this rests on.

import { facts, make } from './dom.mjs';
import { duration, moment, plain, price, reasonInWords, size } from './text.mjs';
import { show } from './client.mjs';
import { needs, tailOf } from './line.mjs';
import { age, eventList, gateInWords, logHint, orderButtons, section, sentence, table } from './pieces.mjs';

export async function containerBody(uuid, detail) {
  const item = await show('container', { container_uuid: uuid });
  const { container, explain, instance_resources: resources } = item;
  const words = explain.in_words ?? reasonInWords(explain.reason, explain.evidence?.cause);
  const row = { vcpus: resources.VCPUs, ram: resources.RAM, gpus: resources.GPUs ?? 0 };
  const ahead = explain.ahead?.count ? explain.ahead : null;
  const place = explain.reserved_on;
  return [
    make('p', { class: 'subject id' }, uuid),
    make('p', { class: 'answer' }, sentence(words)),
    explain.remedy
      ? make('p', {}, make('span', { class: 'label' }, 'What has to change '), sentence(explain.remedy))
      : null,
    explain.instances.length ? orderButtons(['killContainer'], { id: uuid }, detail) : null,
    facts([
      ['State', container.state],
      ['Reason', [explain.reason, plain(explain.evidence)].filter(Boolean).join(': ')],
      ['Its user reads', item.scheduling_status],
      ['Position', plain(explain.position)],
      [
        'Ahead of it',
        ahead ? make('span', {}, `${ahead.count}, the nearest `, detail.links('container', ahead.nearest, tailOf)) : '',
      ],
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
    ['Setback', setback ? setbackInWords(setback) : ''],
    ['Failed starts', failed ? startsInWords(failed) : ''],
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
  const rows = types.map(type =>
    make(
      'tr',
      { class: type.excluded ? 'muted' : null },
      make('th', { scope: 'row' }, type.Name),
      make('td', { class: 'number' }, price(type.Price)),
      make('td', {}, type.excluded ? `does not fit: ${type.excluded}` : gateInWords(type.creates)),
    ),
  );
  return table(['Type', 'Per hour', 'Creates'], rows);
}

function setbackInWords({ cause, failures, at, until, error }) {
  return `${cause} failed ${failures} times in a row, last at ${at}; tried again after ${until}: ${error}`;
}

function startsInWords({ count: starts, instance, at, error }) {
  return `${starts} in a row, the last on ${instance} at ${at}: ${error}`;
}
