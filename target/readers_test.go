package target_test

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/target"
)

// readers are ways in which servers find the segments of a path, each written
// down without a look at target.
var readers = map[string]func(canonical string) []string{
	"uses net/url": func(canonical string) []string {
		u, err := url.ParseRequestURI(canonical)
		if err != nil || u.Host != "" || u.Opaque != "" || u.RawQuery != "" || u.ForceQuery || u.EscapedPath() != canonical {
			return nil
		}
		return strings.Split(u.Path, "/")
	},
	"decodes, then path.Clean": func(canonical string) []string {
		whole := decoded(canonical)
		clean := path.Clean(whole)
		if clean != "/" && strings.HasSuffix(whole, "/") {
			clean += "/"
		}
		return strings.Split(clean, "/")
	},
	// ngx_http_parse_complex_uri: decodes, merges slashes, resolves dot segments.
	"is nginx": func(canonical string) []string {
		var kept []string
		parts := strings.Split(decoded(canonical), "/")
		for i, part := range parts {
			switch {
			case part == "" && i > 0 && i < len(parts)-1: // merge_slashes
			case part == ".":
			case part == "..":
				kept = kept[:max(0, len(kept)-1)]
			default:
				kept = append(kept, part)
			}
		}
		return kept
	},
	// Servlet 6, 3.5.2: parameters go, then escapes are decoded, then dots resolved.
	"is a servlet": func(canonical string) []string {
		segments := strings.Split(canonical, "/")
		for i, s := range segments {
			s, _, _ = strings.Cut(s, ";")
			segments[i] = decoded(s)
		}
		return strings.Split(strings.ReplaceAll(strings.Join(segments, "/"), "/../", "/"), "/")
	},
	// The same in the other order, as old containers had it.
	"is a servlet and decodes first": func(canonical string) []string {
		segments := strings.Split(decoded(canonical), "/")
		for i, s := range segments {
			segments[i], _, _ = strings.Cut(s, ";")
		}
		return segments
	},
	"decodes twice": func(canonical string) []string { return strings.Split(decoded(decoded(canonical)), "/") },
	"takes backslashes for slashes": func(canonical string) []string {
		return strings.Split(strings.ReplaceAll(decoded(canonical), `\`, "/"), "/")
	},
	"ends at NUL": func(canonical string) []string {
		whole, _, _ := strings.Cut(decoded(canonical), "\x00")
		return strings.Split(whole, "/")
	},
}

// decoded decodes what escapes there are, and leaves the rest as it is.
func decoded(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if one, err := url.PathUnescape(s[i : i+3]); err == nil {
				out = append(out, one...)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func seeds(f *testing.F) {
	for _, targets := range attacks {
		for _, raw := range targets {
			f.Add(raw)
		}
	}
	for _, raw := range []string{"/", "/a/b/?q", "/%41|\xc3\xa9", "/a%2Fb", "/https%3A%2F%2Fh/x", "/a%25zz", "/100%25", "/.a/..b/...", "/a%20b/", "/a:b%3A", "/*"} {
		f.Add(raw)
	}
}

// FuzzParse holds every path that is let through to its promises: parsing it again
// changes nothing, net/url sends exactly these bytes, and all readers see the same
// segments.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw string) {
		if len(raw) > 512 {
			t.Skip()
		}
		p, err := target.Parse(raw)
		if err != nil {
			if !p.IsZero() {
				t.Errorf("%q refused with a path: %q", raw, p)
			}
			return
		}
		if again, err := target.Parse(p.String()); err != nil || again != p {
			t.Errorf("%q: %q parsed again is %q, %v", raw, p, again, err)
		}
		if before, _, _ := strings.Cut(raw, "?"); decoded(before) != p.Decoded() {
			t.Errorf("%q became %q, which decodes to %q", raw, p, p.Decoded())
		}
		sent := url.URL{Path: p.Decoded(), RawPath: p.String()}
		if got := sent.RequestURI(); got != p.String() {
			t.Errorf("%q: judged %q, the request line would hold %q", raw, p, got)
		}
		if strings.IndexFunc(p.String(), func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\\;#?\"<>^`{|}", r) }) >= 0 {
			t.Errorf("%q: %q holds a byte that some server corrects", raw, p)
		}
		if !p.HasEncodedSlash() {
			readAlike(t, p)
		} else if asSeparator := strings.ReplaceAll(p.String(), "%2F", "/"); !strings.Contains(asSeparator, "//") { // of a URL's scheme
			q, err := target.Parse(asSeparator)
			if err != nil || q.String() != asSeparator {
				t.Fatalf("%q: to whom %%2F separates, %q is %q, %v", raw, p, q, err)
			}
			readAlike(t, q)
		}
		for part := range strings.SplitSeq(p.Decoded(), "/") {
			if part == "." || part == ".." {
				t.Errorf("%q: %q climbs for a reader that decodes first", raw, p)
			}
		}
	})
}

// readAlike fails unless all readers see the same segments.
func readAlike(t *testing.T, p target.Path) {
	t.Helper()
	want := strings.Split(p.String(), "/")
	for i, s := range want {
		want[i] = decoded(s)
	}
	for name, read := range readers {
		if got := read(p.String()); !slices.Equal(got, want) {
			t.Errorf("%q: a reader that %s sees %q, others %q", p, name, got, want)
		}
	}
}
