package policy

// AllGrants gives member and role of the g rows, in the order of the files.
func (s *Snapshot) AllGrants() [][2]string {
	var all [][2]string
	for _, g := range s.Grants {
		all = append(all, [2]string{g.Member, g.Role})
	}
	return all
}
