/** One value that changes, and those who want to know. */

export interface Store<Value> {
  get(): Value;
  /** Puts what `change` makes of the value in its place. */
  update(change: (value: Value) => Value): void;
  /** `hear` is called after every change with the new and the former value. */
  subscribe(hear: (value: Value, former: Value) => void): void;
}

export function createStore<Value>(initial: Value): Store<Value> {
  let value = initial;
  const listeners: ((value: Value, former: Value) => void)[] = [];
  return {
    get: () => value,
    update(change) {
      const former = value;
      value = change(former);
      if (value !== former) for (const hear of listeners) hear(value, former);
    },
    subscribe: (hear) => void listeners.push(hear),
  };
}
