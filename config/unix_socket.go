package config

import (
	"net/netip"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/example-org/authgate/text"
)

// maxSocketPath is what sockaddr_un takes, without the NUL at its end (unix(7)).
const maxSocketPath = 107

// UnixPeers is what `unix` in trustedProxies becomes: whoever connects through a
// Unix socket, and so has no address. No address is in it.
func UnixPeers() netip.Prefix { return netip.Prefix{} }

// socketPath gives the path of unix:/path/to.sock.
func socketPath(address string) (file string, isSocket bool) {
	return strings.CutPrefix(address, "unix:")
}

// checkSocket wants one spelling of a path that a socket can have: it is not
// relative to the file, because two programs have to mean the same one by it.
func checkSocket(file string) problem {
	const example = "write it as unix:/run/authgate/authgate.sock"
	switch {
	case strings.HasPrefix(file, "//"):
		return problem{"is not a path of a Unix socket: it begins with two slashes", "write unix: and one slash"}
	case !strings.HasPrefix(file, "/"):
		return problem{"must be an absolute path behind unix:", example}
	case strings.ContainsFunc(file, unicode.IsControl):
		return problem{"has a control character, such as a line end, in its path", example}
	case file == "/":
		return problem{"is not a path of a Unix socket", example}
	case path.Clean(file) != file:
		return problem{"is not the shortest form of the path", "write " + text.Quote("unix:"+path.Clean(file))}
	case len(file) > maxSocketPath:
		return problem{
			"is a path of " + strconv.Itoa(len(file)) + " bytes; the system takes 107 for a Unix socket",
			"choose a shorter one, such as /run/authgate.sock",
		}
	}
	return problem{}
}
