package render

import (
	"strings"

	"github.com/example-org/authgate/text"
)

// InlineCodes shows the first names of a list, each as it is.
func InlineCodes(names []string, limit int) string {
	var list []string
	for _, name := range names {
		list = append(list, InlineCode(name))
	}
	return text.JoinFew(list, ", ", limit)
}

// InlineCode shows a text as it is. In a code span nothing is Markdown, a mention or an
// emoji; but the bar ends the cell even there (GFM, 4.10), and quotes in the text
// want longer ones around it.
func InlineCode(text string) string {
	text = strings.ReplaceAll(text, "|", `\|`)
	quotes := "`"
	for strings.Contains(text, quotes) {
		quotes += "`"
	}
	if len(quotes) > 1 {
		return quotes + " " + text + " " + quotes
	}
	return quotes + text + quotes
}
