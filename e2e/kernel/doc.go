// Package kernel holds the tests that need a real kernel: routes, packet
// filters, packets. Each test runs in namespaces of its own and never touches
// the host's network.
//
// They run as root, and as an ordinary user where the kernel lets one make user
// namespaces. Where neither is possible they are skipped with the reason, or
// fail when AR_KERNEL_TESTS=require is set, as in continuous integration.
//
// All of them together may take 240 s on two quiet processors, of which they need about 200 s of
// processor time: a test that waits for what must not happen, as a packet that is dropped, waits
// for a fraction of a second; one that waits for an event, for a minute at least.
package kernel
