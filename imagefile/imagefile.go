// Package imagefile reads the images of authgate's own pages, such as icons. It decides by
// content what a file is: a browser would show nothing for a file that is something else.
package imagefile

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// maxSide bounds what a PNG unpacks to, in pixels.
const maxSide = 1024

// notReadError is a file that cannot be opened. errors.Is tells why.
type notReadError struct {
	fault.Fault
	cause error
}

func (e notReadError) Unwrap() error { return e.cause }

// Read returns an image as a data: URL, which a page embeds; no file: an empty one. The error
// has the position at which the file is named. errors.Is(err, fs.ErrNotExist) tells a file that
// does not exist.
func Read(file yamlfile.FileRef, maxBytes int) (dataURL string, err error) {
	if file.Path == "" {
		return "", nil
	}
	data, err := read(file.Path, maxBytes)
	if err != nil {
		return "", notReadError{file.Fault(fmt.Sprintf("reading %s: %v", file.Path, text.WithoutPath(err)), ""), err}
	}
	if len(data) > maxBytes {
		return "", file.Fault(fmt.Sprintf("%s has more than %d KiB", file.Path, maxBytes>>10),
			"write a smaller image, for example a simpler SVG, or a PNG with fewer pixels")
	}
	media, message, hint := identify(data)
	if message != "" {
		return "", file.Fault(file.Path+" "+message, hint)
	}
	return "data:" + media + ";base64," + base64.StdEncoding.EncodeToString(data), nil
}

// read reads one byte more than there may be.
func read(path string, maxBytes int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(maxBytes)+1))
}

const pngSignature = "\x89PNG\r\n\x1a\n"

// identify returns the media type of an image, or what is wrong with it.
func identify(data []byte) (media, message, hint string) {
	if bytes.HasPrefix(data, []byte(pngSignature)) {
		message, hint = checkPNG(data)
		return "image/png", message, hint
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\ufeff")), " \t\r\n")
	if bytes.HasPrefix(text, []byte("<")) {
		message, hint = checkSVG(text)
		return "image/svg+xml", message, hint
	}
	return "", "is neither an SVG nor a PNG", "convert it to one of the two; the name of the file does not count"
}

// checkPNG reads the chunks of a PNG (PNG Specification, 3rd edition, 5) without unpacking it, so
// that neither a decoder nor the unpacked image takes memory.
func checkPNG(data []byte) (message, hint string) {
	const damaged, again = "is a damaged PNG", "export it again"
	for rest, first := data[len(pngSignature):], true; ; first = false {
		if len(rest) < 12 {
			return damaged, again
		}
		length := binary.BigEndian.Uint32(rest)
		if uint64(length)+12 > uint64(len(rest)) {
			return damaged, again
		}
		kind, body, sum := string(rest[4:8]), rest[8:8+length], rest[8+length:12+length]
		switch {
		case crc32.ChecksumIEEE(rest[4:8+length]) != binary.BigEndian.Uint32(sum), first != (kind == "IHDR"),
			first && length != 13:
			return damaged, again
		case first:
			width, height := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
			if width == 0 || height == 0 {
				return damaged, again
			}
			if width > maxSide || height > maxSide {
				return fmt.Sprintf("is a PNG of %d×%d pixels", width, height),
					fmt.Sprintf("scale it down to %d×%d pixels or fewer", maxSide, maxSide)
			}
		case kind == "IEND":
			return "", ""
		}
		rest = rest[12+length:]
	}
}

const svgNamespace = "http://www.w3.org/2000/svg"

// checkSVG accepts a well-formed document whose root is that of an SVG, without scripts. A page
// shows it as an image, in which browsers neither run scripts nor load other files.
func checkSVG(data []byte) (message, hint string) {
	decoder := xml.NewDecoder(bytes.NewReader(data))
	for root := true; ; {
		token, err := decoder.Token()
		switch {
		case errors.Is(err, io.EOF) && !root:
			return "", ""
		case errors.Is(err, io.EOF):
			return "is no SVG: it has no element", "export it again"
		case err != nil:
			return "is no well-formed SVG: " + err.Error(), "export it again, in UTF-8"
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if message, hint = checkElement(element, root); message != "" {
			return message, hint
		}
		root = false
	}
}

func checkElement(element xml.StartElement, root bool) (message, hint string) {
	switch name := element.Name; {
	case root && name.Local != "svg":
		return "is no SVG: it begins with <" + name.Local + ">", "write a file that begins with <svg>"
	case root && name.Space != svgNamespace:
		return "is an SVG without its namespace, which browsers do not show",
			`add xmlns="` + svgNamespace + `" to <svg>`
	case strings.EqualFold(name.Local, "script"), strings.EqualFold(name.Local, "foreignObject"):
		return "is an SVG with <" + name.Local + ">, which has no effect in an image", "take it out"
	}
	for _, attr := range element.Attr {
		if len(attr.Name.Local) > 2 && strings.EqualFold(attr.Name.Local[:2], "on") && attr.Name.Space == "" {
			return "is an SVG with a script in " + attr.Name.Local + ", which has no effect in an image", "take it out"
		}
	}
	return "", ""
}
