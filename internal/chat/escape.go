package chat

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// zero is a character without width. Behind it nothing begins that a service would make something of.
const zero = '\u200b'

// plain breaks what apps make a mention, a link or a tag of, wherever they show a text: "@name",
// "scheme://", a host name, "<tag". Addresses stay as they are.
func plain(text string) string {
	var b strings.Builder
	var last rune
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		rest := text[i+size:]
		b.WriteRune(r)
		switch {
		case r == '@', r == '<', r == ':' && strings.HasPrefix(rest, "//"),
			r == '.' && isWord(last) && beginsName(rest):
			b.WriteRune(zero)
		}
		last = r
	}
	return b.String()
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' }

func beginsName(text string) bool {
	for _, r := range text {
		return unicode.IsLetter(r)
	}
	return false
}

// forSlack is for Slack's own markup, in which only these three have a meaning before all else.
func forSlack(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(plain(text))
}

// forMarkdown is for the dialects of Markdown. No line begins with what could begin a heading, a
// list, a quotation or code.
func forMarkdown(text string) string {
	var b strings.Builder
	for i, line := range strings.Split(plain(text), "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		if line != "" {
			b.WriteRune(zero)
		}
		for _, r := range line {
			if strings.ContainsRune("\\`*_[]()~|<>", r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
			if r == '&' {
				b.WriteRune(zero)
			}
		}
	}
	return b.String()
}

// cut marks where a text was cut.
const cut = " [...]"

// fit escapes a text, and as much of it as most bytes have room for.
func fit(text string, escape func(string) string, most int) string {
	whole := escape(text)
	if len(whole) <= most {
		return whole
	}
	runes := []rune(text)
	low, high := 0, len(runes)
	for low < high { // the longest beginning that fits
		middle := (low + high + 1) / 2
		if len(escape(string(runes[:middle]))) <= most-len(cut) {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return escape(string(runes[:low])) + cut
}

// tidy drops what only a fixed width needs: columns, indentation and empty lines.
func tidy(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// card returns an Adaptive Card, as Teams shows it.
func card(title, text string) string {
	type block map[string]any
	body := []block{{"type": "TextBlock", "text": title, "weight": "Bolder", "size": "Medium", "wrap": true}}
	for line := range strings.SplitSeq(text, "\n") {
		body = append(body, block{"type": "TextBlock", "text": line, "wrap": true, "spacing": "None"})
	}
	data, _ := json.Marshal(block{"type": "message", "attachments": []block{{
		"contentType": "application/vnd.microsoft.card.adaptive",
		"content": block{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard",
			"version": "1.2", "body": body},
	}}}) // texts can be encoded
	return string(data)
}
