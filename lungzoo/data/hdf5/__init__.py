"""HDF5 files, read in a process of their own: the C library behind them can hang or crash on a damaged one."""

from lungzoo.data.hdf5.remote import Hdf5File, StoredDataset

__all__ = ["Hdf5File", "StoredDataset"]
