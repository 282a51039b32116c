package target

import "testing"

// FuzzPlainPath holds the short way of Parse to the long one: what is plain at first
// sight is canonical, whatever quirks are allowed, and makes use of none.
func FuzzPlainPath(f *testing.F) {
	for _, raw := range []string{
		"/", "//", "/a", "/a/", "/a//", "/a/.", "/.", "/..", "/...", "/.a", "/a.", "/a..b/c.js", "/a/..", "/a/../b", "/a./b",
		"/a%2Fb", "/a%20", "/a;b", `/a\b`, "/a#b", "/a b", "/a|b", "/a\x7f", "/\xc3\xa9", "/a{b}", "/*", "/**", "/a:b@c/(d)!$&'+,=[e]~_-",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if raw == "" || raw[0] != '/' || !isPlain(raw) {
			t.Skip()
		}
		for allowed := range AllQuirks + 1 {
			canonical, err := normalise(raw, allowed)
			if err != nil || canonical != raw {
				t.Errorf("%q is plain, and normalised %q, %v", raw, canonical, err)
			}
			if err := checkSegments(raw, allowed); err != nil {
				t.Errorf("%q is plain, and refused: %v", raw, err)
			}
			if quirksUsed(raw) != 0 || !decodesSafely(raw, allowed) {
				t.Errorf("%q is plain, and needs quirks", raw)
			}
		}
	})
}
