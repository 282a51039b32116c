package page

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// Brand is what the pages of one installation have in common. The zero Brand is authgate's own.
type Brand struct {
	Name    string       // empty: authgate
	Logo    template.URL // a data: URL, see [ImageURL]; empty: none
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

// ImageURL embeds an image in a page: an SVG or a PNG, recognised by its content. An SVG that
// refers to other files is refused, because a browser would not load them. Scripts in an
// image do not run, and are refused as well.
func ImageURL(data []byte) (template.URL, error) {
	kind := ""
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		if !isPNG(data) {
			return "", errors.New("is not a complete PNG")
		}
		kind = "image/png"
	default:
		if err := checkSVG(data); err != nil {
			return "", err
		}
		kind = "image/svg+xml"
	}
	return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data)), nil
}

// isPNG checks the frame of an image: its first chunk has the size, and its last one is there.
func isPNG(data []byte) bool {
	const first, last = "\x00\x00\x00\x0dIHDR", "\x00\x00\x00\x00IEND\xaeB`\x82"
	rest := data[8:]
	if !bytes.HasPrefix(rest, []byte(first)) || !bytes.HasSuffix(data, []byte(last)) || len(rest) < len(first)+13 {
		return false
	}
	size := rest[len(first):]
	return binary.BigEndian.Uint32(size) > 0 && binary.BigEndian.Uint32(size[4:]) > 0
}

var errNotImage = errors.New("is neither an SVG nor a PNG")

// checkSVG wants one well-formed svg element without scripts, event handlers, embedded
// documents and references to other files.
func checkSVG(data []byte) error {
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("is not UTF-8") }
	root := false
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && root:
			return nil
		case err != nil && root:
			return errors.New("is not well-formed SVG")
		case err != nil:
			return errNotImage
		}
		switch element := token.(type) {
		case xml.Directive:
			if strings.Contains(string(element), "ENTITY") {
				return errors.New("is an SVG with an entity")
			}
		case xml.ProcInst:
			if element.Target == "xml-stylesheet" {
				return errors.New("is an SVG with a style sheet in another file")
			}
		case xml.StartElement:
			if !root && (element.Name.Local != "svg" || element.Name.Space != "http://www.w3.org/2000/svg") {
				return errNotImage
			}
			root = true
			if err := checkSVGElement(element); err != nil {
				return err
			}
		case xml.CharData:
			if refersOutside(string(element)) {
				return errors.New("is an SVG whose style refers to another file")
			}
		}
	}
}

func checkSVGElement(element xml.StartElement) error {
	switch name := strings.ToLower(element.Name.Local); name {
	case "script", "foreignobject", "iframe", "object", "embed", "handler":
		return fmt.Errorf("is an SVG with a %s element", name)
	}
	for _, a := range element.Attr {
		name := strings.ToLower(a.Name.Local)
		switch {
		case strings.HasPrefix(name, "on"):
			return fmt.Errorf("is an SVG with an event handler (%s)", name)
		case name == "href" || name == "src":
			if v := strings.TrimSpace(a.Value); !strings.HasPrefix(v, "#") && !strings.HasPrefix(v, "data:image/") {
				return errors.New("is an SVG that refers to another file")
			}
		case refersOutside(a.Value):
			return errors.New("is an SVG whose style refers to another file")
		}
	}
	return nil
}

// refersOutside finds url(...) and @import in a style, except for references to parts of the
// same image.
func refersOutside(style string) bool {
	style = strings.ToLower(style)
	if strings.Contains(style, "@import") {
		return true
	}
	for {
		_, rest, found := strings.Cut(style, "url(")
		if !found {
			return false
		}
		if inside := strings.TrimLeft(rest, " \t\r\n'\""); !strings.HasPrefix(inside, "#") &&
			!strings.HasPrefix(inside, "data:image/") {
			return true
		}
		style = rest
	}
}
