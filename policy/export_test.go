package policy

// AllRows gives the p rows in the order of the files.
func (s *Snapshot) AllRows() []*Row { return s.rows }

// Holding is somebody who is one subject and nothing else.
func (s *Snapshot) Holding(subject string) Roles {
	return newRoles(s.origin, subjects{subject: {}})
}

// Witness is a path and a method that the row covers.
func (r *Row) Witness() (path, method string) { return r.witness() }
