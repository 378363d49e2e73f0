package copylab

// stateRow is a method's figures for a packet in every state, nil where it was not
// measured.
type stateRow struct {
	Method string
	Cells  []stateCell
}

type stateCell struct {
	State State
	*Cell
}

// stateRows gathers the figures of a packet, source at +2, by where the source is.
func stateRows(r Report) []stateRow {
	var rows []stateRow
	for _, name := range methodsOf(r, "offsets") {
		row := stateRow{Method: name}
		for _, s := range append([]State{HotL1}, states...) {
			part := "states"
			if s == HotL1 {
				part = "offsets"
			}
			row.Cells = append(row.Cells, stateCell{s, r.cell(part, name, packet, 2, 0, s)})
		}
		rows = append(rows, row)
	}
	return rows
}
