package wire_test

import (
	"testing"
)

// TestOnlyOnePathIsEverMeant: a request target that servers read in two ways is
// refused, and all others go out as they were judged.
func TestOnlyOnePathIsEverMeant(t *testing.T) {
	t.Parallel()
	g := newGate(t, newUpstream(t, probed(sayFine)), nil)
	rows := []row{}
	for _, r := range []struct {
		target string
		want   int
	}{
		{"/a", 200},
		{"http://raw.example/p?q", 400},
		{"http://evil.example/p?q", 400},
		{"https://u:p@evil.example:99/p", 400},
		{"ftp://evil.example/p", 400},
		{"http:///p", 400},
		{"http://raw.example", 400},
		{"x:y", 400},
		{"raw.example:80", 400},
		{"http:a/b", 400},
		{"http:a/../b", 400},
		{"*", 400},
		{"//evil.example/p", 400},
		{"//u@evil.example:80", 400},
		{"///x", 400},
		{"/a#frag/../x?q", 400},
		{"/a%23frag", 200},
		{"/\xc3\xa9", 200},
		{"/%C3%A9", 200},
		{"/\xff", 400},
		{"/%ff", 400},
		{"/%c0%af", 400},
		{"/\\evil\\..\\x", 400},
		{"/a%5Cb", 400},
		{"/a%2Fb%2f", 400},
		{"/%41%7e", 200},
		{"/a%3Ab:c", 200},
		{"/a%00b", 400},
		{"/a%0d%0ab", 400},
		{"/%252e", 400},
		{"/%25", 200},
		{"/a;x=1/b?q;r", 400},
		{"/a/b?q;r=1&a=%zz&\"<>\xff", 200},
		{"/a?", 200},
		{"/a?x=%zz", 200},
		{"/a??b?c", 200},
		{"/a/", 200},
		{"/a//b", 400},
		{"/a/./b", 400},
		{"/a/../private/x", 400},
		{"/a/%2e%2e/private/x", 400},
		{"/a/.%2E/private/x", 400},
		{"/a/..;/private/x", 400},
		{"/private/x", 401},
		{"/%70rivate/x", 401},
		{"/private/x?/../../a", 401},
		{"/zz%zz", 400},
		{"/zz%2", 400},
		{"/a\x01", 400},
		{"/a\x7f", 400},
		{"/a?\x01", 400},
		{"/a?\x7f", 400},
		{"/a b", 400},
		{"/a\tb", 400},
		{" /a", 400},
		{"/a ", 400},
		{"", 400},
		{"a/b", 400},
		{"?x", 400},
		{"/a|b{c}^`\"<>", 200},
		{"/[b]'()*!$&,=@+", 200},
		{"/oauth2/../a", 400},
	} {
		name := r.target
		if name == "" {
			name = "an empty target"
		}
		rows = append(rows, row{"GET " + shown(name), "GET " + r.target + " HTTP/1.1\r\nHost: raw.example\r\n\r\n", r.want})
	}
	for _, r := range []row{
		{"CONNECT evil.example:443", "", 405},
		{"CONNECT /a", "", 405},
		{"CONNECT evil.example/pp", "", 405},
		{"OPTIONS *", "", 400},
		{"OPTIONS /a", "", 200},
		{"PRI *", "", 400},
	} {
		r.sent = r.name + " HTTP/1.1\r\nHost: raw.example\r\n\r\n"
		rows = append(rows, r)
	}
	rows = append(rows,
		row{"no target", "GET HTTP/1.1\r\nHost: raw.example\r\n\r\n", 400},
		row{"a target in absolute form, and another Host", "GET http://raw.example/a HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400},
	)
	g.table("targets", rows)
}
