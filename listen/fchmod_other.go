//go:build !unix

package listen

import "errors"

func fchmod(uintptr, uint32) error { return errors.ErrUnsupported }
