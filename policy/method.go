package policy

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/text"
)

const (
	AnyMethod       = "*"
	MethodSeparator = "|"
)

// MatchMethod reports whether the methods of a row cover a request's method. Who
// may GET may HEAD (RFC 9110, 9.3.2: the same without the content), and who may
// not, may not.
func MatchMethod(method, methods string) bool {
	if methods == AnyMethod {
		return true
	}
	for m := range strings.SplitSeq(methods, MethodSeparator) {
		if m == method || m == "GET" && method == "HEAD" {
			return true
		}
	}
	return false
}

// CheckMethods holds the methods of a row to those that requests come with.
func CheckMethods(methods string) (message, hint string) {
	if methods == AnyMethod {
		return "", ""
	}
	seen := make([]string, 0, 8)
	for m := range strings.SplitSeq(methods, MethodSeparator) {
		switch trimmed := strings.Trim(m, Whitespace); {
		case m == "":
			return "method " + text.Quote(methods) + " has an empty part", "write GET, or GET|POST, or * for all"
		case trimmed != m:
			return "method " + text.Quote(methods) + " holds a space", "write GET|POST without spaces"
		case m == AnyMethod:
			return "method " + text.Quote(methods) + " has * together with others", `write "*" alone`
		case slices.Contains(seen, m):
			return "method " + text.Quote(methods) + " names " + m + " twice", "name it once"
		case IsMethod(m):
			seen = append(seen, m)
		case IsMethod(strings.ToUpper(m)):
			return "method " + text.Quote(m) + " is not in upper case", "write " + strings.ToUpper(m)
		default:
			return "method " + text.Quote(m) + " is not a method", "write GET, or GET|POST, or * for all"
		}
	}
	return "", ""
}

// IsMethod is stricter than RFC 9110, 5.6.2, where a method may hold * and | or
// be in lower case: no method in use does, and a slip often does.
func IsMethod(m string) bool {
	for i := range len(m) {
		c := m[i]
		switch {
		case 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return m != ""
}

// RegisteredMethods are those of IANA's HTTP Method Registry.
const RegisteredMethods = " ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK " +
	"LOCK MERGE" +
	" MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI PROPFIND " +
	"PROPPATCH PUT" +
	" QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL "
