// What the verbs say after their options: examples, and exit codes.

export const HELP = `
Start with:
  trivisor doctor                      is everything there?
  trivisor run scenarios/console       run a folder, see what back ends cost
  trivisor trace 'console/hello[length=5]@para'
  trivisor new console/greeting        a scenario of your own

A case is a scenario, its parameters and a subject:
  console/hello[length=5]@para+embedded

scenarios/README.md tells how to write one.`;

export const BOOT_HELP = `
Examples:
  trivisor boot kernel.elf --command-line "console=ttyS0"
  trivisor boot test386.rom --format rom -b native,full-hw

Exit codes:
  0  the guest shut down or halted
  1  it ended otherwise: a triple fault, a crash, a limit
  2  there is no such file, or it can't be loaded`;

export const COSTS_HELP = `
Examples:
  trivisor costs measure --write here.yaml   then: trivisor run --profile here.yaml
  trivisor costs options                     irqchip, ioeventfd and irqfd, compared
  trivisor costs statistics                  what KVM's own counters stand for

Needs --allow-ffi, and --allow-write for --write.`;

export const RUN_HELP = `
Examples:
  trivisor run                                   everything below scenarios/
  trivisor run scenarios/paging -b native,para   two back ends
  trivisor run -t smoke -r json > results.json   for a program
  trivisor run --shard 2/5 --fail-fast           one of five CI machines
  trivisor run --engine embedded,kvm,qemu        on real hypervisors, too

What a subject outside of trivisor is known to do otherwise stands in
fixtures/known/*.yaml: it is excused until the day that is given there, and
fails once it is gone.

Exit codes:
  0  nothing worse than a known deviation; skipped and unobserved are counted
     in the summary
  1  a subject failed or diverged, or a comparison failed
  2  the command line or a scenario is wrong, or nothing ran
  3  the harness or the environment is at fault`;

export const LIST_HELP = `
Examples:
  trivisor list scenarios/paging        groups, how many subjects each, tags
  trivisor list -t '!smoke' --cases     every case without the tag smoke
  trivisor list --json                  for a program`;

export const EXPLAIN_HELP = `
Examples:
  trivisor explain console/hello                    what it expands to
  trivisor explain 'console/hello[length=5]@para'   one case, what it expects
  trivisor explain port-io/real-add@para            why a case is skipped`;

export const DIVERGE_HELP = `
Examples:
  trivisor diverge 'console/hello[length=5]'        the back ends, with each other
  trivisor diverge console/numbers --subjects full-hw,full-hw@kvm,full-bt@qemu

Exit codes: 0 alike, as far as subjects show it; 1 they differ.`;

export const AGREEMENT_HELP = `
Examples:
  trivisor agreement --engine kvm,qemu
  trivisor agreement scenarios/paging --engine qemu --write README.md

The file has to have the lines <!-- agreement:begin --> and <!-- agreement:end -->.
Exit codes: 0 nothing worse than a known deviation; 1 somebody disagrees.`;

export const TRACE_HELP = `
Examples:
  trivisor trace 'console/hello[length=5]@para'
  trivisor trace port-io/real-add@full-hw --json
  trivisor trace mine@hybrid my/scenarios           from a folder of your own`;
