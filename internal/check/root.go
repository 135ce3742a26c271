package check

// systemRoot is the folder that the system's files are under.
func systemRoot() string { return "/" }

// systemProc is where procfs is when that is not told, "" for no other place.
func systemProc() string { return "" }

// installOwner is the user that installed files belong to.
func installOwner() int { return 0 }
