package page

// Brand is what the pages of one installation have in common. The zero Brand is authgate's own.
type Brand struct {
	Name    string // empty: authgate
	Logo    string // an image as a data: URL (package imagefile); empty: none
	Accent  Accent
	HelpURL string // empty: there is no help link
}

// Accent is the colour of buttons and borders, and of the text on it, as CSS. The zero Accent
// is authgate's own.
type Accent struct{ Color, Text string }

// css overrides the colours of the style sheet.
func (a Accent) css() string {
	if a.Color == "" {
		return ""
	}
	return ":root { --accent: " + a.Color + "; --on-accent: " + a.Text + "; }\n"
}
