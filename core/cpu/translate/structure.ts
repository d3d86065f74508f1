// A region's control-flow graph as nested WebAssembly: blocks, loops and branches out of them, after Ramsey, "Beyond
// Relooper" (ICFP 2022). An edge that would make the graph irreducible leaves the region instead and is dispatched anew.

/** A graph as successor lists; node 0 is the entry and nodes it can't reach are left out. */
export interface Shape {
  /** Reverse postorder number of each reachable node; -1 for the others. */
  readonly order: readonly number[];
  /** Is this node the target of a back edge? */
  readonly isLoop: readonly boolean[];
  /** Do two or more forward edges lead here? */
  readonly isMerge: readonly boolean[];
  /** Children in the dominator tree that are merge nodes, by falling reverse postorder number. */
  readonly merges: readonly (readonly number[])[];
  /** Edges (as `from * nodes + to`) that must leave the region. */
  readonly cut: ReadonlySet<number>;
  /** The only predecessor, or undefined: what is known at its end is known here. */
  readonly onlyPredecessor: readonly (number | undefined)[];
}

/** Analyses the graph. */
export function shapeOf(successors: readonly (readonly number[])[]): Shape {
  const nodes = successors.length;
  let cut = new Set<number>();
  // Cutting an edge changes dominators; each round cuts at least one edge or is the last.
  for (let round = 0; round <= nodes * 2; round++) {
    const result = analyse(successors, cut);
    if (result.irreducible.length === 0) return { ...result, cut };
    cut = new Set([...cut, ...result.irreducible]);
  }
  throw new Error("Structuring did not end");
}

function analyse(all: readonly (readonly number[])[], cut: ReadonlySet<number>) {
  const nodes = all.length;
  const successors = all.map((list, from) => list.filter((to) => !cut.has(from * nodes + to)));
  const order = new Array<number>(nodes).fill(-1);
  const sequence = postorder(successors).reverse();
  sequence.forEach((node, i) => order[node] = i);
  const predecessors = successors.map((): number[] => []);
  for (const from of sequence) {
    for (const to of successors[from] ?? []) predecessors[to]?.push(from);
  }

  const dominator = dominators(sequence, order, predecessors);
  const dominates = (a: number, b: number) => {
    let node = b;
    while (node !== a && node !== 0) node = dominator[node] ?? 0;
    return node === a;
  };
  const isLoop = new Array<boolean>(nodes).fill(false);
  const forward = new Array<number>(nodes).fill(0);
  const irreducible: number[] = [];
  for (const from of sequence) {
    for (const to of new Set(successors[from])) {
      if ((order[to] ?? 0) > (order[from] ?? 0)) {
        forward[to] = (forward[to] ?? 0) + edgesBetween(successors, from, to);
      } else if (dominates(to, from)) isLoop[to] = true;
      else irreducible.push(from * nodes + to);
    }
  }
  const isMerge = forward.map((count) => count >= 2);
  const merges = successors.map((): number[] => []);
  for (const node of sequence) {
    if (node !== 0 && isMerge[node]) merges[dominator[node] ?? 0]?.push(node);
  }
  for (const list of merges) list.sort((a, b) => (order[b] ?? 0) - (order[a] ?? 0));
  const onlyPredecessor = predecessors.map((list, node) =>
    node !== 0 && list.length === 1 && !isLoop[node] ? list[0] : undefined
  );
  return { order, isLoop, isMerge, merges, onlyPredecessor, irreducible };
}

function edgesBetween(
  successors: readonly (readonly number[])[],
  from: number,
  to: number,
): number {
  return (successors[from] ?? []).filter((node) => node === to).length;
}

function postorder(successors: readonly (readonly number[])[]): number[] {
  const seen = new Set<number>([0]);
  const result: number[] = [];
  const stack: { node: number; next: number }[] = [{ node: 0, next: 0 }];
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const child = successors[top.node]?.[top.next++];
    if (child === undefined) {
      result.push(top.node);
      stack.pop();
    } else if (!seen.has(child)) {
      seen.add(child);
      stack.push({ node: child, next: 0 });
    }
  }
  return result;
}

/** Immediate dominators, by Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001). */
function dominators(
  sequence: readonly number[],
  order: readonly number[],
  predecessors: readonly number[][],
): number[] {
  const dominator = new Array<number>(order.length).fill(-1);
  dominator[0] = 0;
  const intersect = (a: number, b: number) => {
    while (a !== b) {
      while ((order[a] ?? 0) > (order[b] ?? 0)) a = dominator[a] ?? 0;
      while ((order[b] ?? 0) > (order[a] ?? 0)) b = dominator[b] ?? 0;
    }
    return a;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const node of sequence) {
      if (node === 0) continue;
      let found = -1;
      for (const p of predecessors[node] ?? []) {
        if ((dominator[p] ?? -1) === -1) continue;
        found = found === -1 ? p : intersect(p, found);
      }
      if (found !== dominator[node]) {
        dominator[node] = found;
        changed = true;
      }
    }
  }
  return dominator;
}
