package text

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
)

// JoinFew joins the first values of a list, and says how many follow. It never says
// "and 1 more": the value itself takes no more room.
func JoinFew(values []string, separator string, limit int) string {
	if len(values) <= limit+1 {
		return strings.Join(values, separator)
	}
	more := "and " + strconv.Itoa(len(values)-limit) + " more"
	return strings.Join(values[:limit], separator) + separator + more
}

// JoinOr joins alternatives: a, b or c.
func JoinOr(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// WithoutPath keeps the cause of an error of package os, such as "no such file or
// directory", for a message that names the file already.
func WithoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
