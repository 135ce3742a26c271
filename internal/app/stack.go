package app

// stackNeed is a little more than what a response needs of stack, in bytes.
const stackNeed = 28 << 10

// growStack has the goroutine's stack grow to what will be needed at once, while there is
// next to nothing on it. Otherwise it doubles four times on the way, and each time the
// runtime walks and moves all that is on it by then: a twentieth of the time of a whole response,
// measured. The frame is only asked for, never touched.
//
//go:noinline
func growStack(touch bool) {
	if touch {
		var frame [stackNeed]byte
		keep(&frame)
	}
}

// keep has the compiler believe that the frame is used.
//
//go:noinline
func keep(*[stackNeed]byte) {}
