package imagefile_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/imagefile"
	"github.com/example-org/authgate/yamlfile"
)

const maxBytes = 32 << 10

func refTo(t *testing.T, content string) yamlfile.FileRef {
	t.Helper()
	file := filepath.Join(t.TempDir(), "icon")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return yamlfile.FileRef{Path: file, Key: "upstreams[1].icon", At: fault.Position{File: "authgate.yaml", Line: 7, Column: 9}}
}

func pngOf(t *testing.T, side int) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, side, side))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestImagesBecomeDataURLs(t *testing.T) {
	t.Parallel()
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>`
	for name, c := range map[string]struct{ content, media string }{
		"svg":                        {svg, "image/svg+xml"},
		"svg with a declaration":     {`<?xml version="1.0" encoding="UTF-8"?>` + "\n<!-- logo -->\n" + svg, "image/svg+xml"},
		"svg with a byte order mark": {"\ufeff" + svg, "image/svg+xml"},
		"svg with a doctype": {
			`<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">` + svg, "image/svg+xml",
		},
		"svg of the largest size": {svg + strings.Repeat(" ", maxBytes-len(svg)), "image/svg+xml"},
		"png":                     {pngOf(t, 64), "image/png"},
	} {
		url, err := imagefile.Read(refTo(t, c.content), maxBytes)
		if err != nil || !strings.HasPrefix(url, "data:"+c.media+";base64,") {
			t.Errorf("%s: %.60s, %v", name, url, err)
		}
	}
	if url, err := imagefile.Read(yamlfile.FileRef{}, maxBytes); url != "" || err != nil {
		t.Errorf("no file: %q, %v", url, err)
	}
}

func TestFilesThatAreNoImagesAreFaultsWithTheirPosition(t *testing.T) {
	t.Parallel()
	const open = `<svg xmlns="http://www.w3.org/2000/svg"`
	for content, want := range map[string]string{
		"":                                 "is neither an SVG nor a PNG",
		"GIF89a":                           "is neither an SVG nor a PNG",
		"\xff\xd8\xff\xe0":                 "is neither an SVG nor a PNG",
		"<html></html>":                    "begins with <html>",
		"<svg/>":                           "without its namespace",
		open + "><g></svg>":                "no well-formed SVG",
		open + ">":                         "no well-formed SVG",
		open + "><script>1</script></svg>": "with <script>",
		open + ` onload="x()"/>`:           "script in onload",
		"<!-- nothing -->":                 "it has no element",
		pngOf(t, 64)[:60]:                  "damaged PNG",
		pngOf(t, 2000):                     "2000×2000 pixels",
		open + ">" + strings.Repeat(" ", 33<<10) + "</svg>": "has more than 32 KiB",
	} {
		_, err := imagefile.Read(refTo(t, content), maxBytes)
		if err == nil || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "authgate.yaml:7:9: upstreams[1].icon: ") {
			t.Errorf("%.40q: %v, want %q", content, err, want)
		}
	}
}

func TestAMissingFileIsToldApart(t *testing.T) {
	t.Parallel()
	ref := refTo(t, "")
	ref.Path = "/does/not/exist.svg"
	if _, err := imagefile.Read(ref, maxBytes); !errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "authgate.yaml:7:9: upstreams[1].icon: reading /does/not/exist.svg: no such file") {
		t.Error(err)
	}
	ref.Path = t.TempDir()
	if _, err := imagefile.Read(ref, maxBytes); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`))
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	file := filepath.Join(f.TempDir(), "icon")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		url, err := imagefile.Read(yamlfile.FileRef{Path: file}, maxBytes)
		if (err == nil) != strings.HasPrefix(url, "data:image/") {
			t.Errorf("%q, %v", url, err)
		}
	})
}
