"""DICOM in: CT series to volumes in HU; structure sets, segmentations and LIDC's XML to masks on their grid."""
