// What the page knows of the cluster: the last answers, as small rows, and what is added up from them.

import { moment } from './text.mjs';

// The states of VMs as the metrics group them; all but the first cost money and do no work.
export const CATEGORIES = ['busy', 'booting', 'idle', 'hold', 'unknown'];

export const model = {
  containers: [],
  instances: [],
  creates: { pauses: [], drained: [], items: [] },
  types: new Map(),
  byContainer: new Map(),
  byInstance: new Map(),
  health: null,
  // When the lists were told last; 0 = never.
  toldAt: 0,
};

export function containerRow(item) {
  const { container, explain, instance_resources: needs } = item;
  const types = item.instance_types.map(type => type.Name);
  const evidence = explain.evidence ?? {};
  return {
    id: container.uuid,
    state: container.state,
    priority: container.priority,
    reason: explain.reason,
    cause: evidence.cause ?? '',
    error: evidence.error ?? explain.undecodable ?? '',
    position: explain.position,
    status: item.scheduling_status,
    type: evidence.instance_type ?? types[0] ?? '',
    vcpus: needs.VCPUs,
    ram: needs.RAM,
    scratch: needs.Scratch,
    gpus: needs.GPUs ?? 0,
    since: moment(container.created_at) || moment(item.first_seen_at),
    instances: explain.instances,
    text: [container.uuid, container.state, explain.reason, container.container_image, ...types, ...explain.instances]
      .join(' ')
      .toLowerCase(),
  };
}

export function instanceRow(item, place) {
  const containers = item.running_container_uuids;
  return {
    // An instance that is being created has no id yet.
    id: item.instance || `being created (${place + 1})`,
    isCreating: !item.instance,
    type: item.arvados_instance_type,
    providerType: item.provider_instance_type,
    price: item.price,
    address: item.address,
    state: item.worker_state,
    behavior: item.idle_behavior,
    by: item.idle_behavior_by,
    why: item.idle_behavior_reason,
    orderedAt: moment(item.idle_behavior_at),
    since: moment(item.appeared_at),
    launchedAt: moment(item.launched_at),
    drifted: item.drifted,
    renewal: item.renewal,
    notice: item.spot_notice,
    isSpare: item.spare,
    lastBusy: moment(item.last_busy),
    lastContainer: item.last_container_uuid,
    containers,
    category: category(item),
    full: 0,
    text: [
      item.instance,
      item.arvados_instance_type,
      item.provider_instance_type,
      item.address,
      item.worker_state,
      item.idle_behavior,
      ...containers,
    ]
      .join(' ')
      .toLowerCase(),
  };
}

function category(item) {
  if (item.running_container_uuids.length) return 'busy';
  if (item.idle_behavior === 'hold') return 'hold';
  if (item.worker_state === 'booting' || item.worker_state === 'unknown') return item.worker_state;
  return 'idle';
}

// Takes in answers that belong together.
export function take({ containers, instances, creates }, at) {
  Object.assign(model, { containers, instances, creates, toldAt: at });
  model.types = new Map(creates.items.map(type => [type.instance_type, type]));
  model.byContainer = new Map(containers.map(row => [row.id, row]));
  model.byInstance = new Map(instances.map(row => [row.id, row]));
  for (const row of instances) row.full = fullness(row);
}

// The share of the scarcer of CPUs and memory that containers have been promised; from 0 to 1.
function fullness(row) {
  const type = model.types.get(row.type);
  if (!type || !row.containers.length) return 0;
  let [vcpus, ram] = [0, 0];
  for (const uuid of row.containers) {
    const container = model.byContainer.get(uuid);
    vcpus += container?.vcpus ?? 0;
    ram += container?.ram ?? 0;
  }
  return Math.min(1, Math.max(vcpus / type.vcpus, ram / type.ram));
}

// Whether a container waits for a process: it is wanted, and has none.
export function isWaiting(row) {
  return (row.state === 'Queued' || row.state === 'Locked') && !row.instances.length;
}

// What all VMs cost an hour, and what of it does no work.
export function cost(instances) {
  let [total, wasted] = [0, 0];
  for (const row of instances) {
    total += row.price;
    if (row.category !== 'busy') wasted += row.price;
  }
  return { total, wasted };
}

// How many there are of each: a map from the name that `of` gives to the number, most first.
export function tally(rows, of) {
  const counts = new Map();
  for (const row of rows) counts.set(of(row), (counts.get(of(row)) ?? 0) + 1);
  return new Map([...counts].sort((a, b) => b[1] - a[1]));
}

// Whether each word stands in the row.
export function matches(row, words) {
  return words.every(word => row.text.includes(word));
}

// The sum of a metric over all its labels, or those that `wanted` takes; 0 if there is none.
export function sumOf(families, name, wanted = () => true) {
  const family = families.find(it => it.name === `arvados_dispatchcloud_${name}`);
  let sum = 0;
  for (const metric of family?.metric ?? []) {
    const labels = Object.fromEntries((metric.label ?? []).map(label => [label.name, label.value]));
    if (wanted(labels)) sum += Number((metric.counter ?? metric.gauge)?.value ?? 0);
  }
  return sum;
}
