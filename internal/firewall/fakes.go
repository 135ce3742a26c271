package firewall

// besideFakes is set in a build for the end-to-end tests, where the firewall of the host
// is none of the suite's business.
const besideFakes = false
