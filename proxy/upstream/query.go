package upstream

import (
	"strconv"
	"strings"
)

// HasParameter reports whether a query names a parameter, as loosely as any server
// might read it: after & or ;, percent-encoded, with or without a value.
// grpc-gateway (v1 and v2, runtime/query.go) sets the field name for name[key] and
// name[key]=, and finds a field by its name in proto and in JSON: letter case and _
// are left out of the comparison, and each part of a nested a.b counts.
func HasParameter(query, name string) bool {
	for query != "" {
		part := query
		if end := strings.IndexAny(query, "&;"); end >= 0 {
			part, query = query[:end], query[end+1:]
		} else {
			query = ""
		}
		key, _, _ := strings.Cut(part, "=")
		if setsField(decodeLeniently(key), name) {
			return true
		}
	}
	return false
}

// setsField reports whether a decoded key could set a field.
func setsField(key, name string) bool {
	key, _, _ = strings.Cut(key, "[")
	for field := range strings.SplitSeq(key, ".") {
		if strings.EqualFold(foldFieldName.Replace(field), foldFieldName.Replace(name)) {
			return true
		}
	}
	return false
}

// foldFieldName removes what force_refresh has and forceRefresh has not, and whitespace, which
// some servers trim.
var foldFieldName = strings.NewReplacer("_", "", "-", "", " ", "", "+", "", "\t", "")

// decodeLeniently decodes the escapes that are valid and leaves the others, so that one invalid
// escape does not hide the rest.
func decodeLeniently(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
