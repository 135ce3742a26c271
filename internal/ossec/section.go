package ossec

// Section is what stands directly under an <ossec_config>, such as <rules>, and where.
type Section struct {
	Line     int // of its opening tag, from 1
	From, To int // what is between its tags: data[From:To]
}

// Sections returns the sections of that name, in the order in which they close. What stands
// in comments is none, nor is one that has no tag of its own to close it (<rules/>, or a
// forgotten </rules>): nothing can be put into those.
func Sections(data []byte, name string) []Section {
	var all []Section
	w := walker{visit: func(Element) {}}
	w.closed = func() {
		if len(w.stack) == 2 && w.stack[0].name == "ossec_config" && w.stack[1].name == name {
			top := w.stack[1]
			all = append(all, Section{top.line, top.end, w.from})
		}
	}
	_ = w.walk(data) // what is broken is skipped, as by everybody who reads the file
	return all
}
