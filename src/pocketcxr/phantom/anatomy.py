"""The patient's build: what stays the same from one image to the next, in millimetres of the patient frame."""

from dataclasses import dataclass, replace

import numpy as np

from pocketcxr.domain.study import Sex, ViewPosition


@dataclass(frozen=True)
class Anatomy:
    """One patient's thorax as projected in one image; findings and breathing change some of it."""

    sex: Sex
    age_years: int
    cage_half_width: float
    apex_y: float
    widest_y: float
    dome_y_right: float
    dome_y_left: float
    dome_height: float
    chest_depth_cm: float
    fat: float
    breast: float
    shoulder_drop: float
    heart_width: float
    heart_shift: float
    mediastinum_half_width: float
    mediastinum_shift: float
    aorta_radius: float
    rib_gap: float
    rib_slope: float
    bone_density: float
    lung_coefficient: float
    vessel_gain: float
    arm_angle: float
    rotation: float

    def dome_y(self, side: int) -> float:
        """Height of the diaphragm's dome; side -1 is the patient's right (image left), +1 the left."""
        return self.dome_y_left if side > 0 else self.dome_y_right


def draw_patient(rng: np.random.Generator) -> Anatomy:
    """A patient, as seen PA in full inspiration."""
    sex = Sex.MALE if rng.random() < 0.565 else Sex.FEMALE
    age = int(np.clip(rng.normal(47, 16.6), 18, 92))
    stature = rng.normal(1.0 if sex is Sex.MALE else 0.935, 0.035)
    build = rng.normal(0, 1)
    slenderness = rng.normal(0, 0.04)
    fat = float(np.clip(22 + 9 * build + 3 * rng.normal(), 8, 60))
    half_width = 131 * stature * (1 - slenderness)
    dome = 88 * stature * (1 + slenderness)
    ratio = np.clip(rng.normal(0.445 + 0.0006 * (age - 47) + 0.006 * build, 0.022), 0.37, 0.497)
    return Anatomy(
        sex=sex,
        age_years=age,
        cage_half_width=half_width,
        apex_y=-140 * stature * (1 + slenderness),
        widest_y=60 * stature,
        dome_y_right=dome,
        dome_y_left=dome + rng.normal(9, 4),
        dome_height=float(np.clip(rng.normal(38, 5), 26, 50)),
        chest_depth_cm=float(np.clip(21 + 1.9 * build + rng.normal(0, 0.8), 16.5, 29)),
        fat=fat,
        breast=0.0 if sex is Sex.MALE else float(np.clip(rng.normal(2.3 + 0.5 * build, 0.9), 0.4, 5)),
        shoulder_drop=rng.normal(0.36, 0.06),
        heart_width=2 * half_width * ratio,
        heart_shift=rng.normal(0, 4),
        mediastinum_half_width=float(np.clip(rng.normal(25 + 0.08 * (age - 47), 2.5), 19, 34)),
        mediastinum_shift=0.0,
        aorta_radius=float(np.clip(rng.normal(14.5 + 0.09 * (age - 47), 2), 9, 24)),
        rib_gap=24.0 * stature * (1 + slenderness),
        rib_slope=rng.normal(1.0, 0.12),
        bone_density=float(np.clip(rng.normal(1.05 - 0.006 * (age - 47), 0.12), 0.55, 1.4)),
        lung_coefficient=float(np.clip(rng.normal(0.052, 0.004), 0.042, 0.062)),
        vessel_gain=float(np.clip(rng.normal(1.0, 0.15), 0.6, 1.4)),
        arm_angle=0.9,
        rotation=0.0,
    )


def breathe(anatomy: Anatomy, view: ViewPosition, rng: np.random.Generator) -> Anatomy:
    """The patient on one day: inspiration (less AP), the heart as projected (AP magnifies it), rotation, arms."""
    is_ap = view is ViewPosition.AP
    lift = float(np.clip(rng.normal(17 if is_ap else 3, 9 if is_ap else 5), -8, 42))
    magnified = rng.normal(1.13, 0.03) if is_ap else rng.normal(1.0, 0.015)
    return replace(
        anatomy,
        dome_y_right=anatomy.dome_y_right - lift,
        dome_y_left=anatomy.dome_y_left - lift + rng.normal(0, 2),
        heart_width=anatomy.heart_width * magnified * (1 + 0.0016 * lift),
        mediastinum_half_width=anatomy.mediastinum_half_width * (1.1 if is_ap else 1.0) + 0.04 * lift,
        arm_angle=float(np.clip(rng.normal(0.25 if is_ap else 0.95, 0.2), 0.05, 1.3)),
        rotation=rng.normal(0, 3.6 if is_ap else 1.8),
        shoulder_drop=anatomy.shoulder_drop + (0.05 if is_ap else 0) + rng.normal(0, 0.02),
    )
