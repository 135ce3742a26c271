package exec

// Dirs are the folders that Find looks through, in order.
var Dirs = []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"}
