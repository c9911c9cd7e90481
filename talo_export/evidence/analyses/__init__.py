"""The analyses of `talo-export analyze`: pure functions of score tables, one file each."""
