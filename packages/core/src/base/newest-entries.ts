/** Makes the entry the newest of the map, and lets the oldest go where there are more than `max`. Entries of a `Map` have the order in which they came. */
export function setNewest<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
