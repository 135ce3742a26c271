// Package kernel holds the tests that need a real kernel: routes, packet
// filters, packets. Each test runs in namespaces of its own and never touches
// the host's network.
//
// They run as root, and as an ordinary user where the kernel lets one make user
// namespaces. Where neither is possible they are skipped with the reason, or
// fail when AR_KERNEL_TESTS=require is set, as in continuous integration.
package kernel
